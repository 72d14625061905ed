# frozen_string_literal: true

require_relative "handle"

module Choria
  # One answer of a node. It cannot be changed.
  class Reply
    KINDS = Library::EVENT_KINDS.to_h { |name, number| [number, name.downcase] }.freeze # :nodoc:
    private_constant :KINDS

    # <tt>:reply</tt> to a request, <tt>:pong</tt> to a ping, <tt>:unexpected</tt> from a node that was not asked, or
    # <tt>:invalid</tt> when it cannot be used and #message tells why. Only Replies#each_event gives the latter two.
    attr_reader :kind

    # The node's identity.
    attr_reader :sender

    # Status code of the RPC: 0 OK, 1 aborted, 2 unknown action, 3 missing data, 4 invalid data, 5 other failure.
    attr_reader :status

    # Status message, <tt>"OK"</tt> when all is well.
    attr_reader :message

    # What the action answered, a Hash with String keys.
    attr_reader :data

    # Copies an event of the library and frees it.
    def self.take(event) # :nodoc:
      new(event)
    ensure
      Library.choria_event_free(event)
    end
    private_class_method :new

    def initialize(event) # :nodoc:
      @kind = KINDS.fetch(Library.choria_event_get_kind(event), :invalid)
      @sender = Library.utf8(Library.choria_event_sender(event)).freeze
      @status = Library.choria_event_status(event)
      @message = Library.utf8(Library.choria_event_message(event)).freeze
      @data = Library.json(Library.choria_event_data(event, nil)).freeze
      @verified = Library.choria_event_is_verified(event)
      freeze
    end

    # Whether the action succeeded.
    def ok?
      status.zero?
    end

    # Whether the signature of the reply was verified.
    def verified?
      @verified
    end

    # One item of the answer: <tt>reply[:pong]</tt>.
    def [](name)
      data[name.to_s]
    end

    # Seconds that a pong took; +nil+ for other replies.
    def latency
      data["latency"] if kind == :pong
    end
  end

  # How a request ended. Its parts:
  # - +discovered+: number of nodes that were asked.
  # - +responses+, +ok+, +failed+: numbers of replies.
  # - +silent+: identities that were asked and did not answer.
  # - +unexpected+: identities that answered and were not asked.
  # - +seconds+: time from sending to the end.
  Statistics = Struct.new(:discovered, :responses, :ok, :failed, :silent, :unexpected, :seconds, keyword_init: true) do
    # Takes what the library tells at the end; more than is known here may come from a newer one.
    def self.from(data) # :nodoc:
      new(**data.transform_keys(&:to_sym).slice(*members)).freeze
    end
  end
end
