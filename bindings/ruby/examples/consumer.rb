#!/usr/bin/env ruby
# frozen_string_literal: true

# Reads submitted messages from a stream, prints those that are proven and refuses the others.
#
#   consumer.rb [--config FILE] [--stream NAME] [--durable NAME] [--max-age SECONDS] [--idle SECONDS]
#
# One line of JSON for each good message on standard output, one sentence for each refused one on standard error. Both are
# acknowledged: a forged message does not become better by reading it again. With --idle it ends when nothing came for that
# long. What the signature covers is the payload; subject, id, time and sender are what the sending machine says, so whatever
# must be trusted, or must happen once only, belongs into the payload.
require "choria"
require "json"
require "optparse"

REMEMBERED_IDS = 10_000 # so that memory is bounded; streams themselves drop an id that comes again within minutes

options = { stream: "SUBMIT", durable: "ruby-example", "max-age": 86_400.0 }
OptionParser.new do |parser|
  parser.on("--config FILE", "client configuration (default: as the choria command finds it)")
  parser.on("--stream NAME", "stream to read")
  parser.on("--durable NAME", "name under which the stream remembers how far this program came")
  parser.on("--max-age SECONDS", Float, "refuse messages older than this")
  parser.on("--idle SECONDS", Float, "end when nothing arrived for so long (default: never)")
end.parse!(into: options)

def show(message)
  text = message.payload.dup.force_encoding(Encoding::UTF_8).scrub
  puts JSON.generate(sequence: message.sequence, identity: message.identity, payload: text)
  $stdout.flush
end

# Whether the message is what it says to be; says why if not. Nothing that a forger may write ends this program.
def proven?(message, trust, max_age)
  message.verify(trust, max_age: max_age)
  true
rescue Choria::Error => e
  warn "message #{message.sequence} refused: #{e.message}"
  false
end

trust = Choria::Trust.from_config(options[:config])
seen = {}

Choria::Client.open(options[:config]) do |client|
  client.consumer(options[:stream], durable: options[:durable]) do |consumer|
    consumer.each(timeout: options[:idle]) do |message|
      if proven?(message, trust, options[:"max-age"])
        if seen.key?(message.id)
          warn "message #{message.sequence} refused: its id came before, in message #{seen[message.id]}"
        else
          seen.shift if seen.size >= REMEMBERED_IDS
          seen[message.id] = message.sequence
          show(message)
        end
      end
      message.ack
    end
  end
end
