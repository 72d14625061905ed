# frozen_string_literal: true

require_relative "helper"

# Messages that other NATS clients read; no network is asked, only its keys and tokens.
class ReceivedTest < Minitest::Test
  PAYLOAD = "{\"ok\":true}"

  def headers(payload = PAYLOAD, **changes)
    { "Nats-Msg-Id" => "5c6ce4f8-3f3c-4e5a-9c55-6a1a0f6d7d11", "Choria-Created" => Time.now.strftime("%s%N"),
      "Choria-Priority" => "4", "Choria-Sender" => "user 0", "Choria-Identity" => network[:identities].first,
      "Choria-Token" => File.read(network[:server_token]).strip,
      "Choria-Signature" => Choria::Seed.open(network[:server_seed]).sign(payload) }.merge(changes.transform_keys(&:to_s)).compact
  end

  def received(payload = PAYLOAD, headers = headers())
    Choria::Received.new("choria.submission.in.jobs.backup", payload, headers)
  end

  def test_good
    message = received
    refute_predicate message, :verified?
    assert_same message, message.verify(network.trust, max_age: 300)
    assert_predicate message, :verified?
    assert_equal [PAYLOAD, Encoding::BINARY], [message.payload, message.payload.encoding]
    assert_equal "choria.submission.in.jobs.backup", message.subject
    assert_equal [network[:identities].first, "user 0", 0], [message.identity, message.sender, message.sequence]
    assert_equal "5c6ce4f8-3f3c-4e5a-9c55-6a1a0f6d7d11", message.id
    assert_in_delta Time.now.to_f, message.created.to_f, 60
    assert_equal ["4", nil], [message.header("choria-PRIORITY"), message.header("Choria-Tries")]
  end

  def test_empty_payload
    assert_equal "", received("", {}).payload
  end

  def test_without_anything
    message = received("x", {})
    assert_equal ["", "", nil], [message.id, message.sender, message.created]
    assert_raises(Choria::SignatureInvalidError) { message.verify(network.trust) }
    assert_raises(ArgumentError) { message.ack }
  end

  FORGED = {
    "another payload" => [Choria::SignatureInvalidError, -> { received("{\"ok\":false}", headers) }],
    "no signature" => [Choria::SignatureInvalidError, -> { received(PAYLOAD, headers("Choria-Signature": nil)) }],
    "another's signature" => [Choria::SignatureInvalidError,
                              -> { received(PAYLOAD, headers("Choria-Signature": Choria::Seed.generate.sign(PAYLOAD))) }],
    "no token" => [Choria::Error, -> { received(PAYLOAD, headers("Choria-Token": nil)) }],
    "garbage for a token" => [Choria::TokenInvalidError, -> { received(PAYLOAD, headers("Choria-Token": "eyJx.eyJ.x")) }],
    "a stranger's token" => [Choria::TokenUntrustedError, -> { received(PAYLOAD, with_token(:foreign_token)) }],
    "broken chain" => [Choria::TokenUntrustedError, -> { received(PAYLOAD, with_token(:broken_chain_token)) }],
    "expired token" => [Choria::TokenExpiredError, -> { received(PAYLOAD, with_token(:expired_token)) }],
    "another's identity" => [Choria::Error, -> { received(PAYLOAD, headers("Choria-Identity": "n2.demo.example.net")) }],
    "an id that is none" => [Choria::InvalidMessageError, -> { received(PAYLOAD, headers("Nats-Msg-Id": "one two")) }],
    "too old" => [Choria::StaleError, -> { received(PAYLOAD, headers("Choria-Created": (Time.now - 301).strftime("%s%N"))) }],
    "from the future" => [Choria::StaleError, -> { received(PAYLOAD, headers("Choria-Created": (Time.now + 3600).strftime("%s%N"))) }]
  }.freeze

  def with_token(name)
    headers("Choria-Token": File.read(network[name]).strip)
  end

  FORGED.each do |name, (error, made)|
    define_method(:"test_forged_by_#{name.tr(" '", '_')}") do
      message = instance_exec(&made)
      assert_raises(error) { message.verify(network.trust, max_age: 300) }
      refute_predicate message, :verified?
    end
  end

  def test_chain
    message = received(PAYLOAD, with_token(:chain_server_token))
    assert_predicate message.verify(network.trust, max_age: 300), :verified?
  end

  def test_any_age
    message = received(PAYLOAD, headers("Choria-Created": (Time.now - 3600).strftime("%s%N")))
    assert_predicate message.verify(network.trust), :verified?
  end
end

# Messages of the network's stream.
class ConsumerTest < Minitest::Test
  EXAMPLE = File.expand_path("../examples/consumer.rb", __dir__)

  def setup
    @client = Choria::Client.open(network[:client_config])
    @subject = "jobs.ruby#{rand(1 << 64)}"
    @filter = "choria.submission.in.#{@subject}"
  end

  def teardown
    @client.close
  end

  def submit(payload, **options)
    Choria.submit(@subject, payload, reliable: true, sign: true, socket: network[:socket], **options)
  end

  def test_messages_arrive_in_order_and_verify
    ids = (1..5).map { |number| submit("message #{number}") }
    @client.consumer(network[:stream], filter: @filter) do |consumer|
      messages = Array.new(5) { consumer.next(timeout: 30) }
      assert_equal ids, messages.map(&:id)
      assert_equal (1..5).map { |number| "message #{number}" }, messages.map(&:payload)
      messages.each { |message| assert_predicate message.verify(network.trust, max_age: 300), :verified? }
      assert_equal [network[:identities].first], messages.map(&:identity).uniq
      assert_equal messages.map(&:sequence).sort, messages.map(&:sequence)
      assert_operator messages.first.sequence, :>, 0
      assert_raises(Choria::TimeoutError) { consumer.next(timeout: 0.1) }
    end
  end

  def test_what_is_acknowledged_does_not_come_again
    3.times { |number| submit(number.to_s) }
    durable = "ruby#{rand(1 << 64)}"
    @client.consumer(network[:stream], durable: durable, filter: @filter) do |consumer|
      assert_equal %w[0 1], Array.new(2) { consumer.next(timeout: 30).tap(&:ack).payload }
    end
    @client.consumer(network[:stream], durable: durable, filter: @filter) do |consumer|
      assert_equal %w[2], consumer.each(timeout: 2).map { |message| message.tap(&:ack).payload }
    end
  end

  def test_select_and_break
    consumer = @client.consumer(network[:stream], filter: @filter)
    assert_nil IO.select([consumer], nil, nil, 0.1)
    submit("x")
    assert IO.select([consumer], nil, nil, 30)
    consumer.each { |message| break assert_equal("x", message.payload) }
    consumer.close
    assert_raises(Choria::ClosedError) { consumer.next }
  end

  def test_no_such_stream
    assert_raises(Choria::NotFoundError) { @client.consumer("NOSUCHSTREAM") }
  end

  # Publishes messages that pretend to be of a server, as whoever may publish to the stream can.
  def forge
    token = File.read(network[:server_token]).strip
    created = Time.now.strftime("%s%N")
    identity = network[:identities].first
    good = { "Choria-Token" => token, "Choria-Identity" => identity, "Choria-Created" => created }
    signature = Choria::Seed.generate.sign("forged")
    [good.merge("Choria-Signature" => signature), good,
     good.merge("Choria-Signature" => signature, "Choria-Token" => File.read(network[:foreign_token]).strip),
     good.merge("Choria-Signature" => "00"), { "Choria-Token" => "eyJ" }, {}, { "Nats-Msg-Id" => "an id with \u{1f}" },
     good.merge("Choria-Created" => "yesterday", "Choria-Priority" => "-1")].each_with_index.map do |headers, number|
      network.publish(@subject, "forged", { "Nats-Msg-Id" => "forged-#{@subject}-#{number}" }.merge(headers))
    end
  end

  def test_the_example_refuses_forged_messages
    submit("good 1")
    wait_until("the first message is in the stream") { @client.consumer(network[:stream], filter: @filter) { |c| !c.next(timeout: 1).nil? } rescue false } # rubocop:disable Style/RescueModifier
    forged = forge
    submit("good \xff 2".b)
    durable = "ruby#{rand(1 << 64)}"
    arguments = [RbConfig.ruby, "-w", "-I", LIB, EXAMPLE, "--config", network[:client_config], "--durable", durable, "--idle", "3"]
    output, errors, status = Open3.capture3(*arguments)
    assert_predicate status, :success?, errors
    # The stream has messages of other tests as well.
    good = output.lines.map { |line| JSON.parse(line)["payload"] }.select { |payload| payload.start_with?("good") }
    assert_equal ["good 1", "good \u{fffd} 2"], good
    refute_includes output, "forged"
    forged.each { |sequence| assert_match(/^message #{sequence} refused: .+/, errors) }
    again, = Open3.capture3(*arguments)
    assert_empty again
  end
end
