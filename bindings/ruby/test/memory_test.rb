# frozen_string_literal: true

require_relative "helper"

# Memory is given back, once, at whatever moment the garbage collector likes.
class MemoryTest < Minitest::Test
  BOUND_KIB = 6 * 1024

  # Runs the block often, then as often again: what grows the second time would grow for ever.
  def assert_bounded(times)
    rounds = -> { times.times { |round| yield.then { GC.start if (round % 100).zero? } } }
    rounds.call
    before = memory
    rounds.call
    growth = memory - before
    assert_operator growth, :<, BOUND_KIB, "#{times} rounds more took #{growth} KiB more"
  end

  def failing
    yield
    flunk "did not fail"
  rescue Choria::Error
    nil
  end

  def test_drafts
    payload = "x" * 10_000
    assert_bounded(5_000) { Choria::Draft.new("jobs.memory", payload, headers: { "A" => "b" }) }
  end

  def test_tokens
    trust = network.trust
    good = File.read(network[:server_token])
    foreign = File.read(network[:foreign_token])
    assert_bounded(1_000) do
      Choria::Token.verify(good, trust).claims
      failing { Choria::Token.verify(foreign, trust) }
    end
  end

  def test_seeds_and_signatures
    assert_bounded(1_000) { Choria::Seed.generate.then { |seed| Choria.verify_signature(seed.public_key, "x", seed.sign("x")) } }
  end

  def test_received
    headers = { "Choria-Signature" => "00", "Choria-Identity" => "n1" }
    trust = Choria::Trust.new
    assert_bounded(3_000) do
      message = Choria::Received.new("a", "x" * 10_000, headers)
      failing { message.verify(trust) }
      message.payload
    end
  end

  def test_submitting
    Dir.mktmpdir do |folder|
      config = File.join(folder, "server.conf")
      File.write(config, "plugin.choria.submission.spool = #{folder}/spool\nplugin.choria.submission.socket = #{folder}/none\n" \
                         "plugin.choria.submission.max_spool_size = 1\nidentity = n1\n")
      failing { 5.times { Choria.submit("jobs.memory", "x", config: config) } }
      assert_bounded(500) do
        failing { Choria.submit("jobs.memory", "x" * 10_000, config: config) }
        Choria::Submitter.new(config: config).status
      end
    end
  end

  def test_requests
    Choria::Client.open(network[:client_config]) do |client|
      assert_bounded(60) do
        client.request("rpcutil", "ping", nodes: network[:identities]) { |reply| reply.data }
        client.request("rpcutil", "ping", nodes: network[:identities]).first
        client.request("rpcutil", "ping", nodes: network[:identities]) # left to the garbage collector
      end
    end
  end

  def test_clients
    assert_bounded(15) { Choria::Client.open(network[:client_config]).caller_id }
    assert_operator Dir.children("/proc/self/fd").length, :<, 200
  end

  # A collection at every allocation finds what is freed too early.
  def test_stress
    network[:client_config]
    Dir.mktmpdir do |folder|
      config = File.join(folder, "server.conf")
      File.write(config, "identity = n1\nplugin.choria.submission.spool = #{folder}/spool\nplugin.choria.submission.socket = #{folder}/none\n")
      assert_equal network[:identities], stressed { everything(config) }
    end
  end

  def stressed
    GC.stress = true
    yield
  ensure
    GC.stress = false
  end

  def everything(config)
    submitter = Choria::Submitter.new(config: config)
    submitter.submit("jobs.stress", "one", headers: { "A" => "b" })
    submitter.submit_many(Array.new(3) { |number| Choria::Draft.new("jobs.stress", number.to_s) })
    raise "wrong number" unless submitter.status["messages"] == 4

    trust = Choria::Trust.new(issuers: { network[:organization] => network[:issuer_public_key] })
    raise "wrong token" unless Choria.verify_token(network[:server_token], trust).permits?(:submission)

    Choria::Client.open(network[:client_config]) do |client|
      enumerated = client.request("rpcutil", "ping", nodes: network[:identities]).each
      [enumerated.next.sender, enumerated.next.sender].sort
    end
  end
end
