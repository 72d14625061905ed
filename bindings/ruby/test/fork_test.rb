# frozen_string_literal: true

require_relative "helper"

# What goes on in a child process and what is refused there.
class ForkTest < Minitest::Test
  def setup
    @client = Choria::Client.open(network[:client_config])
    @all = network[:identities]
  end

  def teardown
    @client.close
  end

  def code
    yield
    "nothing was raised"
  rescue Choria::Error => e
    e.class.name
  end

  def test_what_uses_the_network_is_refused
    replies = @client.request("rpcutil", "ping", nodes: @all)
    consumer = @client.consumer(network[:stream])
    answers = in_child do
      { request: code { @client.request("rpcutil", "ping", nodes: @all) }, discover: code { @client.discover },
        ping: code { @client.ping }, next: code { replies.next(timeout: 5) }, consumer: code { consumer.next(timeout: 5) },
        opened: code { @client.consumer(network[:stream]) } }
    end
    assert_equal ["Choria::ForkedError"], answers.values.uniq, answers.to_s
    # The parent does not notice.
    assert_equal @all, replies.map(&:sender).sort
    assert_equal @all, @client.request("rpcutil", "ping", nodes: @all).map(&:sender).sort
  ensure
    consumer&.close
  end

  def test_the_child_has_clients_of_its_own
    seen = in_child do
      Choria::Client.open(network[:client_config]) { |client| client.request("rpcutil", "ping", nodes: @all).map(&:sender).sort }
    end
    assert_equal @all, seen
  end

  def test_tokens_and_seeds_go_on_working
    trust = network.trust
    token = Choria.verify_token(network[:server_token], trust)
    seed = Choria::Seed.generate
    answers = in_child do
      [token.identity, Choria.verify_token(network[:server_token], trust).identity,
       Choria.verify_signature(seed.public_key, "x", seed.sign("x"))]
    end
    assert_equal [@all[0], @all[0], true], answers
  end

  def test_freeing_in_the_child_is_harmless
    replies = @client.request("rpcutil", "ping", nodes: @all)
    freed = in_child do
      replies.close
      @client.close
      GC.start
      "freed"
    end
    assert_equal "freed", freed
    assert_equal @all, replies.map(&:sender).sort
  end

  # With finalizers, which the children of the other tests leave out.
  def test_a_child_ends_as_usual
    script = <<~RUBY
      require "choria"
      client = Choria::Client.open(ARGV[0])
      kept = [client.ping, client.consumer(ARGV[1])]
      _, status = Process.wait2(fork { Choria::Seed.generate })
      puts status.exitstatus, client.discover.length, kept.length
    RUBY
    output, status = Open3.capture2e(RbConfig.ruby, "-w", "-I", LIB, "-e", script, network[:client_config], network[:stream])
    assert_equal ["0\n2\n2\n", 0], [output, status.exitstatus]
  end
end
