# frozen_string_literal: true

require_relative "helper"
require "timeout"

# Replies as they arrive: iteration, cancellation, threads and event loops.
class RepliesTest < Minitest::Test
  NOBODY = "n9.demo.example.net"

  def setup
    @client = Choria::Client.open(network[:client_config])
    @all = network[:identities]
  end

  def teardown
    @client.close
  end

  def request(nodes: @all, timeout: 10)
    @client.request("rpcutil", "ping", nodes: nodes, timeout: timeout)
  end

  # A request that gets no reply for a long time.
  def unanswered
    request(nodes: [NOBODY], timeout: 60)
  end

  def test_one_by_one
    replies = request
    assert_equal @all, [replies.next.sender, replies.next.sender].sort
    assert_raises(StopIteration) { replies.next }
    assert_raises(StopIteration) { replies.next }
    assert_equal 2, replies.statistics.ok
    assert_match(/\A\w{20,}\z/, replies.request_id)
  end

  def test_loop_ends_with_the_replies
    replies = request
    seen = []
    loop { seen << replies.next.sender }
    assert_equal @all, seen.sort
  end

  def test_enumerators
    enumerator = request.each
    assert_instance_of Enumerator, enumerator
    assert_equal @all, [enumerator.next.sender, enumerator.next.sender].sort
    assert_raises(StopIteration) { enumerator.next }
    assert_equal @all, request.map(&:sender).sort
    assert_equal @all, request.each_event.map(&:sender).sort
    assert_equal 1, request.lazy.select(&:ok?).first(1).length
    assert_equal @all, request.each_with_index.map { |reply, _| reply.sender }.sort
  end

  # Without waiting for the node that never answers.
  def test_first_cancels
    replies = request(nodes: [@all[0], NOBODY], timeout: 60)
    assert_equal @all[0], replies.first.sender
    assert_raises(Choria::CancelledError) { replies.next }
  end

  def test_break_cancels
    kept = nil
    value = @client.request("rpcutil", "ping", nodes: [@all[0], NOBODY], timeout: 60) do |reply|
      kept = reply
      break :left
    end
    assert_equal [:left, @all[0]], [value, kept.sender]
  end

  def test_an_exception_cancels
    replies = request(nodes: [@all[0], NOBODY], timeout: 60)
    assert_raises(ArgumentError) { replies.each { raise ArgumentError } }
    assert_raises(Choria::CancelledError) { replies.next }
    assert_nil replies.statistics
  end

  def test_cancel_wakes_a_waiting_thread
    replies = unanswered
    waiting = Thread.new { assert_raises(Choria::CancelledError) { replies.next } }
    wait_until("the thread waits") { waiting.status == "sleep" }
    replies.cancel
    assert waiting.join(10)
  end

  def test_close_wakes_a_waiting_thread
    replies = unanswered
    waiting = Thread.new { assert_raises(Choria::CancelledError) { replies.next } }
    wait_until("the thread waits") { waiting.status == "sleep" }
    replies.close
    assert waiting.join(10)
    2.times { replies.close }
    replies.cancel
    assert_raises(Choria::ClosedError) { replies.next }
  end

  def test_closing_the_client_cancels
    replies = unanswered
    waiting = Thread.new { assert_raises(Choria::CancelledError) { replies.next } }
    wait_until("the thread waits") { waiting.status == "sleep" }
    @client.close
    assert waiting.join(10)
  end

  def test_time_limits
    replies = unanswered
    assert_raises(Choria::TimeoutError) { replies.next(timeout: 0) }
    assert_raises(Choria::TimeoutError) { replies.next(timeout: 0.05) }
    assert_raises(Timeout::Error) { Timeout.timeout(0.1) { replies.next } }
    assert_raises(Choria::TimeoutError) { replies.next(timeout: 0) }
    assert_raises(Timeout::Error) { Timeout.timeout(0.1) { replies.each { flunk } } }
    assert_raises(Choria::CancelledError) { replies.next }
  end

  def test_killing_a_waiting_thread
    replies = unanswered
    waiting = Thread.new { replies.each { flunk } }
    wait_until("the thread waits") { waiting.status == "sleep" }
    waiting.kill
    assert waiting.join(10)
    assert_raises(Choria::CancelledError) { replies.next }
  end

  def test_interrupt
    script = <<~RUBY
      require "choria"
      trap("INT", "DEFAULT") # programs that a shell starts in the background ignore it
      client = Choria::Client.open(ARGV[0])
      $stdout.sync = true
      replies = client.request("rpcutil", "ping", nodes: ["#{NOBODY}"], timeout: 60)
      begin
        puts "waiting"
        replies.each { }
      rescue Interrupt
        puts "interrupted"
      end
    RUBY
    IO.popen([RbConfig.ruby, "-I", LIB, "-e", script, network[:client_config]]) do |child|
      assert_equal "waiting\n", child.gets
      Process.kill("INT", child.pid)
      assert_equal "interrupted\n", child.gets
    end
  end

  def test_select
    replies = [request, request]
    waiting = replies.dup
    seen = []
    until waiting.empty?
      ready, = IO.select(waiting, nil, nil, 30)
      refute_nil ready, "nothing became readable"
      ready.each do |some|
        seen << some.next(timeout: 0).sender
      rescue StopIteration
        waiting.delete(some)
      rescue Choria::TimeoutError
        next
      end
    end
    assert_equal (@all * 2).sort, seen.sort
    assert_same replies[0].to_io, replies[0].to_io
    replies.each(&:close)
  end

  def test_select_tells_that_nothing_came
    assert_nil IO.select([unanswered], nil, nil, 0.05)
  end

  def test_other_threads_run_meanwhile
    replies = unanswered
    waiting = Thread.new { assert_raises(Choria::CancelledError) { replies.each { flunk } } }
    wait_until("the thread waits") { waiting.status == "sleep" }
    assert_equal @all, request.map(&:sender).sort
    replies.cancel
    waiting.join
  end

  # Discovery is a call that waits inside of the library.
  def test_other_threads_run_during_calls_that_wait
    turns = 0
    discovery = Thread.new { @client.discover }
    turns += 1 while discovery.alive? && sleep(0.001)
    assert_equal @all, discovery.value.sort
    assert_operator turns, :>, 10
  end

  def test_threads_share_a_client
    threads = Array.new(8) { Thread.new { Array.new(5) { request.map(&:sender).sort } } }
    assert_equal [@all] * 40, threads.flat_map(&:value)
  end

  def test_threads_share_replies
    replies = request
    seen = Array.new(4) { Thread.new { replies.next.sender rescue nil } }.map(&:value) # rubocop:disable Style/RescueModifier
    assert_equal @all, seen.compact.sort
  end

  def test_closing_a_client_while_others_use_it
    10.times do
      client = Choria::Client.open(network[:client_config])
      users = Array.new(4) do
        Thread.new do
          loop { client.request("rpcutil", "ping", nodes: @all).to_a }
        rescue Choria::ClosedError, Choria::CancelledError, Choria::NotConnectedError => e
          e.class
        end
      end
      sleep(0.01 * rand(5))
      client.close
      users.each { |user| assert_includes [Choria::ClosedError, Choria::CancelledError, Choria::NotConnectedError], user.value }
    end
  end
end
