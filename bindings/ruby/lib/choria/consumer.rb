# frozen_string_literal: true

require_relative "received"
require_relative "waiting"

module Choria
  # Reads submitted messages from a stream, in the order of the stream but for those that come again: to a durable consumer,
  # what was fetched and not read when it was closed, and what was not acknowledged within two minutes.
  #
  #   client.consumer("SUBMIT", durable: "backups") do |consumer|
  #     consumer.each do |message|
  #       puts message.verify(trust, max_age: 300).payload
  #       message.ack
  #     end
  #   end
  class Consumer
    include Enumerable
    include Waiting

    # - +client+: the Client to read with; it must stay open.
    # - +stream+: name of the stream.
    # - +durable+: name under which the stream remembers what was acknowledged; made if it does not exist. +nil+ reads
    #   from the first message on, and nothing is remembered.
    # - +filter+: subject, wildcards allowed, of the messages to read.
    #
    # Raises NotFoundError when there is no such stream, UnauthorizedError when the client may not read it.
    def initialize(client, stream, durable: nil, filter: nil)
      @client = client # its end would be the end of the consumer
      client.use do |pointer|
        start_waiting(:consumer, :choria_consumer_open, pointer, Library.text(stream), Library.text(durable), Library.text(filter))
      end
    end

    # The next message, a Received. Waits for as long as it takes or, if given, for +timeout+ seconds and raises
    # TimeoutError then.
    def next(timeout: nil)
      fetch(timeout) { |message| Received.from_consumer(self, message) } or raise StopIteration, "the consumer ended"
    end

    # Calls the block for every message. Goes on for ever or, if +timeout+ is given, until no message arrived for that many
    # seconds. Without a block it gives an Enumerator. What the block does not acknowledge comes again to a durable
    # consumer.
    def each(timeout: nil)
      return enum_for(:each, timeout: timeout) unless block_given?

      while (message = next_or_nil(timeout))
        yield message
      end
      self
    end

    # Acknowledges a message, so that a durable consumer does not see it again.
    def ack(message)
      message.use { |pointer| @handle.call(:choria_consumer_ack, pointer) }
      nil
    end

    private

    def next_or_nil(timeout)
      self.next(timeout: timeout)
    rescue TimeoutError, StopIteration
      nil
    end
  end
end
