# frozen_string_literal: true

require "base64"
require "json"
require "shellwords"

# The running network that tests/bindings/network makes: where everything is, and wishes that it fulfils.
class TestNetwork
  PROGRAM = File.expand_path("../../../tests/bindings/network", __dir__)

  def self.shared
    @shared ||= new.tap { |network| Minitest.after_run { network.stop } }
  end

  # The choria command, of the programs that the network runs.
  def self.program
    target = ENV.fetch("CARGO_TARGET_DIR", File.expand_path("../../../target", __dir__))
    File.join(ENV.fetch("CHORIA_PROGRAMS", File.join(target, "debug")), "choria")
  end

  def initialize
    @answers = IO.popen([PROGRAM], "r+")
    line = @answers.gets or raise "#{PROGRAM} did not start: see above"
    @known = JSON.parse(line, symbolize_names: true)
    @lock = Mutex.new
    ENV.update(@known.fetch(:environment).transform_keys(&:to_s))
  end

  # Something that the network told about itself; what it could not offer fails the test.
  def [](name)
    @known.fetch(name)
  end

  def wish(what, **arguments)
    @lock.synchronize do
      @answers.puts(JSON.generate(arguments.merge(do: what)))
      answer = JSON.parse(@answers.gets)
      raise "#{what} #{arguments}: #{answer['error']}" if answer.key?("error")

      answer
    end
  end

  # Puts a message into the stream as somebody with every permission can. Gives its sequence.
  def publish(subject, payload, headers)
    wish("publish", subject: "choria.submission.in.#{subject}", payload: Base64.strict_encode64(payload), headers: headers.to_a)
      .fetch("seq")
  end

  # Makes a server silent while the block runs.
  def silence(name)
    wish("pause", name: name)
    yield
  ensure
    wish("resume", name: name)
  end

  def trust
    Choria::Trust.new(issuers: { self[:organization] => self[:issuer_public_key] })
  end

  def stop
    @answers.close
  end
end
