# frozen_string_literal: true

require_relative "reply"
require_relative "waiting"

module Choria
  # The replies to one request as they arrive. All of Enumerable works, lazily:
  #
  #   replies = client.request("rpcutil", "ping")
  #   replies.next                       # one Reply; StopIteration at the end, so `loop do` works
  #   replies.lazy.select(&:ok?).first(3)
  #
  # Leaving #each or any method of Enumerable early, by +break+, an exception or since it has enough, cancels the request.
  # May be used by several threads: each reply goes to one of them.
  class Replies
    include Enumerable
    include Waiting

    # The Statistics once the end was reached, until then +nil+.
    attr_reader :statistics

    def initialize(client, function, *arguments) # :nodoc:
      @client = client # its end would be the end of the replies
      start_waiting(:replies, function, *arguments)
    end

    # Id of the request, as servers log it.
    def request_id
      @handle.text(:choria_replies_request_id)
    end

    # Calls the block for every Reply to a request or a ping, and returns the Statistics. Without a block it gives an
    # Enumerator.
    #
    # Raises CancelledError when another thread cancels or closes, NotConnectedError when the connection is lost.
    def each
      return enum_for(:each) unless block_given?

      each_event { |reply| yield reply if answer?(reply) }
    end

    # As #each, and also gives what came from nodes that were not asked and what could not be used: see Reply#kind.
    def each_event(&block)
      return enum_for(:each_event) unless block

      begin
        while (reply = take(nil))
          block.call(reply)
        end
      ensure
        cancel unless @ended
      end
      statistics
    end

    # The next Reply to a request or a ping. Raises StopIteration at the end, and TimeoutError when +timeout+ (seconds) is
    # given and none arrived.
    def next(timeout: nil)
      while (reply = take(timeout))
        return reply if answer?(reply)
      end
      raise StopIteration, "all replies were taken"
    end

    # Ends the request: what is not taken yet is dropped, and whoever waits gets a CancelledError. Any thread may do so.
    def cancel
      @handle.ask(:choria_replies_cancel)
      nil
    rescue ClosedError
      nil
    end

    private

    def answer?(reply)
      %i[reply pong].include?(reply.kind)
    end

    # nil at the end.
    def take(timeout)
      return if @ended

      reply = fetch(timeout) { |event| Reply.take(event) }
      return reply unless reply.nil? || reply.kind == :done

      @statistics = Statistics.from(reply.data) if reply
      @ended = true
      nil
    end
  end
end
