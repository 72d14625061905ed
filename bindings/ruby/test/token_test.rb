# frozen_string_literal: true

require_relative "helper"

# Seeds and signatures, which need no network.
class SeedTest < Minitest::Test
  HEX = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
  # First vector of RFC 8032 section 7.1.
  PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

  def test_public_key_of_a_seed
    assert_equal PUBLIC, Choria::Seed.from_hex(HEX).public_key
  end

  def test_signature_of_the_empty_message
    expected = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    assert_equal expected, Choria::Seed.from_hex(HEX).sign("")
  end

  def test_sign_and_verify
    seed = Choria::Seed.generate
    data = "zero \0 and \xff bytes".b
    signature = seed.sign(data)
    assert_match(/\A\h{128}\z/, signature)
    assert Choria.verify_signature(seed.public_key, data, signature)
    assert_raises(Choria::SignatureInvalidError) { Choria.verify_signature(seed.public_key, "#{data}.", signature) }
    assert_raises(Choria::SignatureInvalidError) { Choria.verify_signature(Choria::Seed.generate.public_key, data, signature) }
    assert_raises(Choria::Error) { Choria.verify_signature(seed.public_key, data, "abc") }
  end

  def test_seeds_from_files
    Dir.mktmpdir do |folder|
      path = File.join(folder, "my.seed")
      File.write(path, HEX)
      assert_equal PUBLIC, Choria::Seed.open(path).public_key
      assert_equal PUBLIC, Choria::Seed.open(Pathname(path)).public_key
    end
  end

  def test_inspect_shows_no_secret
    refute_includes Choria::Seed.from_hex(HEX).inspect, HEX
    refute_includes Choria::Seed.from_hex(HEX).to_s, HEX
  end
end

# Tokens of a running network, good and bad.
class TokenTest < Minitest::Test
  def trust
    @trust ||= network.trust
  end

  {
    server_token: :server, client_token: :client, provisioning_token: :provisioning, chain_server_token: :server,
    chain_client_token: :client
  }.each do |file, kind|
    define_method(:"test_good_#{file}") do
      token = Choria.verify_token(network[file], trust)
      assert_equal kind, token.kind
      assert_predicate token, :verified?
      assert_operator token.expires, :>, Time.now
      assert_instance_of Hash, token.claims
    end
  end

  {
    expired_token: Choria::TokenExpiredError, foreign_token: Choria::TokenUntrustedError,
    broken_chain_token: Choria::TokenUntrustedError, server_config: Choria::TokenInvalidError,
    client_seed: Choria::TokenInvalidError
  }.each do |file, error|
    define_method(:"test_bad_#{file}") do
      message = assert_raises(error) { Choria.verify_token(network[file], trust) }.message
      refute_includes message, File.read(network[file])[0, 60]
    end
  end

  def test_claims_of_a_server
    token = Choria.verify_token(network[:server_token], trust)
    assert_equal network[:identities].first, token.identity
    assert_equal network[:organization], token.organization
    assert_equal Choria::Seed.open(network[:server_seed]).public_key, token.public_key
    assert token.permits?(:submission)
    refute token.permits?("fleet_management")
    refute token.permits?("no such thing")
    assert_equal "choria_server", token.claims.fetch("purpose")
    assert_equal token.identity, token.claims.fetch("identity")
    assert_equal Encoding::UTF_8, token.identity.encoding
  end

  def test_claims_of_a_client
    token = Choria.verify_token(network[:client_token], trust)
    assert_equal network[:caller], token.identity
    assert token.permits?(:fleet_management)
    refute token.permits?(:submission)
  end

  def test_text_path_and_pathname
    text = File.read(network[:server_token])
    identities = [text, "#{text}\n", network[:server_token], Pathname(network[:server_token])]
                 .map { |input| Choria.verify_token(input, trust).identity }
    assert_equal [network[:identities].first] * 4, identities
  end

  def test_time_is_an_argument
    text = File.read(network[:server_token])
    expires = Choria::Token.verify(text, trust).expires
    assert Choria::Token.verify(text, trust, now: expires - 5)
    assert_raises(Choria::TokenExpiredError) { Choria::Token.verify(text, trust, now: expires + 5) }
    assert Choria.verify_token(network[:expired_token], trust, now: Time.now - 7200)
  end

  def test_nobody_is_trusted_by_default
    assert_raises(Choria::TokenUntrustedError) { Choria.verify_token(network[:server_token], Choria::Trust.new) }
  end

  def test_another_organization_is_not_trusted
    other = Choria::Trust.new(issuers: { "acme" => network[:issuer_public_key] })
    assert_raises(Choria::TokenUntrustedError) { Choria.verify_token(network[:server_token], other) }
  end

  def test_trust_in_a_signer
    signer = Choria::Trust.new(signers: [network[:issuer_public_key]])
    assert_predicate Choria.verify_token(network[:server_token], signer), :verified?
    assert_raises(Choria::TokenUntrustedError) { Choria.verify_token(network[:foreign_token], signer) }
  end

  def test_trust_from_configuration
    [Choria::Trust.from_config(network[:client_config]), Choria::Trust.from_config].each do |trust|
      assert_equal network[:identities].first, Choria.verify_token(network[:server_token], trust).identity
    end
  end

  def test_reading_does_not_verify
    token = Choria::Token.read(File.read(network[:foreign_token]))
    refute_predicate token, :verified?
    assert_equal network[:identities].first, token.identity
    assert_includes token.inspect, "not verified"
  end

  def test_inspect_shows_no_token
    text = File.read(network[:server_token])
    refute_includes Choria::Token.read(text).inspect, text[0, 40]
  end
end
