# frozen_string_literal: true

LIB = File.expand_path("../lib", __dir__)
$LOAD_PATH.unshift(LIB) unless $LOAD_PATH.include?(LIB)

require "choria"
require "json"
require "minitest/autorun"
require "open3"
require "pathname"
require "tmpdir"
require_relative "network"

# What the tests share.
class Minitest::Test
  # The network of tests/bindings, started when the first test asks for it.
  def network
    TestNetwork.shared
  end

  # Polls until the block is true; fails after +seconds+.
  def wait_until(what, seconds: 30)
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
    until yield
      flunk("#{what}: not within #{seconds} s") if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
      sleep(0.02)
    end
  end

  # Runs the block in a child process and gives what it returned, through JSON.
  def in_child
    reader, writer = IO.pipe
    child = fork do
      reader.close
      answer = begin
        { "value" => yield }
      rescue Exception => e # rubocop:disable Lint/RescueException
        { "error" => "#{e.class}: #{e.message}" }
      end
      writer.write(JSON.generate(answer))
      writer.close
      exit!(0)
    end
    writer.close
    answer = JSON.parse(reader.read)
    Process.wait(child)
    flunk(answer["error"]) if answer.key?("error")
    answer["value"]
  end

  # Memory of this process that is not shared, in KiB.
  def memory
    GC.start
    File.read("/proc/self/smaps_rollup")[/^Private_Dirty:\s+(\d+)/, 1].to_i
  end
end
