# frozen_string_literal: true

require_relative "helper"
require "socket"

# Requests to a real fleet of two servers.
class ClientTest < Minitest::Test
  def setup
    @client = Choria::Client.open(network[:client_config])
    @all = network[:identities]
  end

  def teardown
    @client.close
  end

  def answers(replies)
    replies.map(&:sender).sort
  end

  def test_request_with_a_block
    seen = []
    result = @client.request("rpcutil", "ping") { |reply| seen << reply }
    assert_equal @all, answers(seen)
    seen.each do |reply|
      assert_equal [:reply, 0, "OK", true], [reply.kind, reply.status, reply.message, reply.ok?]
      assert_in_delta Time.now.to_i, reply[:pong], 60
      assert_equal reply.data["pong"], reply["pong"]
      assert_predicate reply, :frozen?
    end
    assert_equal [2, 2, 2, 0, [], []],
                 result.to_h.values_at(:discovered, :responses, :ok, :failed, :silent, :unexpected)
    assert_operator result.seconds, :>, 0
  end

  {
    "fact" => [{ facts: "country=de" }, [0]],
    "facts" => [{ facts: ["os.family=Debian", "number>1"] }, [1]],
    "no node" => [{ facts: ["country=nowhere"] }, []],
    "class" => [{ classes: ["roles::web"] }, [0]],
    "class as expression" => [{ classes: ["/base/"] }, [0, 1]],
    "identity" => [{ identities: ["n2.demo.example.net"] }, [1]],
    "identity as expression" => [{ identities: "/^n[12]/" }, [0, 1]],
    "agent" => [{ agents: ["rpcutil"] }, [0, 1]],
    "agent that nobody has" => [{ agents: ["nosuchagent"] }, []],
    "compound" => [{ compound: "with('roles::base') && with('country=us')" }, [1]]
  }.each do |name, (filters, expected)|
    define_method(:"test_discover_by_#{name.tr(' ', '_')}") do
      assert_equal @all.values_at(*expected), @client.discover(**filters).sort
    end
  end

  def test_request_by_filter
    result = @client.request("rpcutil", "get_fact", facts: ["country=us"], inputs: { fact: "number" }) do |reply|
      assert_equal [@all[1], 2], [reply.sender, reply[:value]]
    end
    assert_equal 1, result.ok
  end

  def test_inputs_as_text
    replies = @client.request("rpcutil", "get_fact", nodes: @all, text_inputs: { fact: "country" })
    assert_equal %w[de us], replies.sort_by(&:sender).map { |reply| reply[:value] }
  end

  def test_named_nodes
    assert_equal [@all[1]], answers(@client.request("rpcutil", "ping", nodes: @all[1]))
  end

  def test_a_node_that_does_not_exist
    replies = @client.request("rpcutil", "ping", nodes: [@all[0], "n9.demo.example.net"], timeout: 1)
    assert_equal [@all[0]], answers(replies)
    assert_equal ["n9.demo.example.net"], replies.statistics.silent
    assert_equal 2, replies.statistics.discovered
  end

  def test_silent_node
    network.silence("server2") do
      replies = @client.request("rpcutil", "ping", nodes: @all, timeout: 1)
      assert_equal [@all[0]], answers(replies)
      assert_equal [@all[1]], replies.statistics.silent
    end
  end

  {
    "missing input" => [["rpcutil", "get_fact"], Choria::InvalidRequestError, /fact/],
    "wrong type" => [["rpcutil", "get_fact", { inputs: { fact: 1 } }], Choria::InvalidRequestError, /fact/],
    "unknown input" => [["rpcutil", "ping", { inputs: { colour: "red" } }], Choria::InvalidRequestError, /colour/],
    "unknown agent" => [["nosuchagent", "ping"], Choria::NotFoundError, /nosuchagent/],
    "unknown action" => [["rpcutil", "nosuchaction"], Choria::NotFoundError, /nosuchaction/]
  }.each do |name, ((agent, action, options), error, message)|
    define_method(:"test_#{name.tr(' ', '_')}") do
      assert_match message, assert_raises(error) { @client.request(agent, action, nodes: @all, **(options || {})) }.message
    end
  end

  def test_broken_filters
    [{ facts: ["no operator"] }, { collective: "a.b" }].each do |filter|
      assert_raises(Choria::Error, filter.to_s) { @client.discover(**filter) }
    end
  end

  def test_ping
    seen = []
    result = @client.ping { |pong| seen << pong }
    assert_equal @all, answers(seen)
    seen.each { |pong| assert_equal [:pong, true], [pong.kind, pong.latency.between?(0, 10)] }
    assert_equal 2, result.responses
  end

  def test_caller
    assert_equal network[:caller], @client.caller_id
  end

  def test_open_with_a_block_closes
    kept = nil
    assert_equal 42, Choria::Client.open(network[:client_config]) { |client| (kept = client) && 42 }
    assert_predicate kept, :closed?
    assert_raises(Choria::ClosedError) { kept.ping }
    kept.close
  end

  def test_configuration_from_the_environment
    Choria::Client.open { |client| assert_equal network[:caller], client.caller_id }
  end
end

# Logins and connections that fail.
class ConnectionTest < Minitest::Test
  # The client's configuration with some values changed, in a file that lives while the block runs.
  def config(**changes)
    Dir.mktmpdir do |folder|
      path = File.join(folder, "client.conf")
      lines = File.readlines(network[:client_config], chomp: true).map do |line|
        key = changes.keys.find { |name| line.start_with?("plugin.#{name} ") }
        key ? "plugin.#{key} = #{changes[key]}" : line
      end
      File.write(path, lines.join("\n"))
      yield path
    end
  end

  def test_nobody_listens
    server = TCPServer.new("127.0.0.1", 0)
    port = server.addr[1]
    server.close
    config("choria.middleware_hosts": "127.0.0.1:#{port}") do |path|
      assert_raises(Choria::NotConnectedError) { Choria::Client.open(path, timeout: 0.5) }
    end
  end

  def test_somebody_listens_and_says_nothing
    server = TCPServer.new("127.0.0.1", 0)
    config("choria.middleware_hosts": "127.0.0.1:#{server.addr[1]}") do |path|
      assert_raises(Choria::NotConnectedError) { Choria::Client.open(path, timeout: 0.5) }
    end
  ensure
    server.close
  end

  # Signed for the client's key by an issuer of its own.
  def test_unauthorized
    Dir.mktmpdir do |folder|
      public_key = Choria::Seed.open(network[:client_seed]).public_key
      [%w[keys other.seed other.public],
       ["client", "foreign.jwt", network[:caller], "other.seed", "--public-key", public_key, "--fleet-management"]].each do |arguments|
        output, status = Open3.capture2e(TestNetwork.program, "jwt", *arguments, chdir: folder)
        assert_predicate status, :success?, output
      end
      config("security.choria.token_file": "#{folder}/foreign.jwt") do |path|
        assert_raises(Choria::UnauthorizedError) { Choria::Client.open(path) }
      end
    end
  end

  def test_a_seed_that_does_not_belong_to_the_token
    config("security.choria.seed_file": network[:server_seed]) do |path|
      assert_raises(Choria::InvalidConfigurationError) { Choria::Client.open(path) }
    end
  end

  def test_broken_configuration
    config("choria.use_srv": "perhaps") do |path|
      assert_raises(Choria::InvalidConfigurationError) { Choria::Client.open(path) }
    end
  end

  def test_missing_configuration
    assert_raises(Choria::NotFoundError) { Choria::Client.open("/nonexistent/client.conf") }
  end
end
