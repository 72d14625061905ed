# frozen_string_literal: true

require_relative "replies"
require_relative "request"

module Choria
  # A connection to the fleet. May be used by many threads at once; not after +fork+, where a new one is to be opened.
  #
  #   Choria::Client.open do |client|
  #     client.request("rpcutil", "ping", facts: ["os=linux"]) { |reply| puts "#{reply.sender}: #{reply[:pong]}" }
  #   end
  #
  # Requests, pings and discovery take these filters, each a String or an Array of them; a node must satisfy all:
  # - +facts+: <tt>"os=linux"</tt>, <tt>"cpus>4"</tt>
  # - +classes+, +identities+, +agents+: names or <tt>/regular expressions/</tt>
  # - +compound+: one expression that combines them
  # - +collective+: part of the network, default the configured one
  # - +discovery_timeout+: seconds, default as configured
  class Client
    class << self
      # Connects. +config+ is a client configuration file, +nil+ the one that the +choria+ command finds; +timeout+ is in
      # seconds. With a block the client is closed at its end, and the block's value is returned.
      #
      # Raises NotConnectedError, UnauthorizedError, InvalidConfigurationError, NotFoundError.
      def open(config = nil, timeout: 5)
        client = new(config, timeout: timeout)
        return client unless block_given?

        begin
          yield client
        ensure
          client.close
        end
      end

      private :new
    end

    def initialize(config, timeout:) # :nodoc:
      @handle = Handle.make(:client, :choria_client_open, Library.text(config), Library.milliseconds(timeout))
    end

    # Who the requests come from, such as <tt>"up=ann"</tt>.
    def caller_id
      @handle.text(:choria_client_caller)
    end

    # Identities of the nodes that satisfy the filters, an Array of String. Waits for the time of discovery.
    def discover(**filters)
      request = Request.new("discovery", "ping", **filters)
      JSON.parse(@handle.use { |client| Library.text_from(:choria_client_discover, client, request.pointer) })
    end

    # Asks an action of an agent. Beside the filters of Client:
    # - +inputs+: Hash of the action's inputs, as values that JSON knows.
    # - +text_inputs+: Hash of inputs as text, converted as on the command line.
    # - +nodes+: identities to ask, without discovery.
    # - +timeout+: seconds to wait for replies, default as the DDL and the configuration say.
    #
    # With a block it calls it for every Reply and returns the Statistics; without, it returns the Replies. Discovery, if
    # any, is over when this returns.
    #
    # Raises InvalidRequestError when the inputs do not satisfy the DDL, NotFoundError for unknown agents and actions and when
    # no node satisfies the filters, UnauthorizedError, NotConnectedError.
    def request(agent, action, **options, &block)
      replies(:choria_client_request, Request.new(agent, action, **options), &block)
    end

    # Pings all nodes that satisfy the filters. The block gets a Reply with Reply#latency as each arrives; without a block
    # it returns the Replies.
    def ping(**filters, &block)
      replies(:choria_client_ping, Request.new("discovery", "ping", **filters), &block)
    end

    # Reads submitted messages from a stream: see Consumer. With a block the consumer is closed at its end, and the block's
    # value is returned.
    def consumer(stream, durable: nil, filter: nil)
      consumer = Consumer.new(self, stream, durable: durable, filter: filter)
      return consumer unless block_given?

      begin
        yield consumer
      ensure
        consumer.close
      end
    end

    # Disconnects; requests that are under way are cancelled. May be called more than once.
    def close
      @handle.close
      nil
    end

    # Whether it was closed.
    def closed?
      @handle.closed?
    end

    def use(&block) # :nodoc:
      @handle.use(&block)
    end

    private

    def replies(function, request, &block)
      replies = use { |client| Replies.new(self, function, client, request.pointer) }
      return replies unless block

      begin
        replies.each(&block)
      ensure
        replies.close
      end
    end
  end
end
