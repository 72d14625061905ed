# frozen_string_literal: true

require_relative "trust"

module Choria
  # A submitted message as it was read, from a Consumer or any NATS client. Before #verify everything in it is hearsay;
  # after it, payload and identity are proven. Subject, id, sender and other headers are never covered by the signature.
  class Received
    # Takes a message that another NATS client read: its subject, its payload and a Hash of its headers.
    def initialize(subject, payload, headers = {})
      @payload = Library.bytes(payload).b.freeze
      @handle = Handle.make(:received, :choria_received_new, Library.text(subject), @payload, @payload.bytesize)
      headers.each do |name, values|
        Array(values).each { |value| @handle.call(:choria_received_add_header, Library.text(name), Library.text(value)) }
      end
    end

    # Takes a message that the library read.
    def self.from_consumer(consumer, pointer) # :nodoc:
      allocate.tap { |message| message.send(:adopt, consumer, pointer) }
    end

    # Verifies the signature over the payload, the token that came with it and the chain of that token, that the identity
    # is the token's, and that it was made at most +max_age+ seconds before +now+ (a Time, +nil+ the clock). A +max_age+ of
    # 0 is any age. Returns the message.
    #
    # Raises SignatureInvalidError, TokenInvalidError, TokenUntrustedError, TokenExpiredError, StaleError, and
    # InvalidMessageError when its headers cannot be those of a submission. It does nothing but compute, so whoever rescues
    # Error here refuses every message that is not proven and nothing else.
    def verify(trust, max_age: 0, now: nil)
      trust.use { |pointer| @handle.call(:choria_received_verify, pointer, max_age, Library.unix(now)) }
      self
    end

    # Whether #verify succeeded.
    def verified?
      @handle.ask(:choria_received_is_verified)
    end

    # Subject on the network.
    def subject
      @handle.text(:choria_received_subject)
    end

    # A frozen String of bytes.
    attr_reader :payload

    # The id that Submitter#submit returned, <tt>""</tt> if it has none.
    def id
      @handle.text(:choria_received_id)
    end

    # Who submitted it, as the sending machine says: <tt>"user 1000"</tt>.
    def sender
      @handle.text(:choria_received_sender)
    end

    # The sending machine: of the token once verified, before that what a header claims.
    def identity
      @handle.text(:choria_received_identity)
    end

    # The Time of submission as the message says, +nil+ if it does not.
    def created
      seconds = @handle.ask(:choria_received_created)
      Time.at(seconds) unless seconds.zero?
    end

    # Value of a header, +nil+ if it is missing. Names compare without case.
    def header(name)
      @handle.text(:choria_received_header, Library.text(name))
    end

    # Number of the message in the stream, 0 when it did not come from a Consumer.
    def sequence
      @handle.ask(:choria_received_sequence)
    end

    # Tells the stream that this message is done with, so that a durable Consumer does not see it again.
    def ack
      raise ArgumentError, "this message did not come from a consumer: there is nothing to acknowledge it to" unless @consumer

      @consumer.ack(self)
    end

    def use(&block) # :nodoc:
      @handle.use(&block)
    end

    private

    def adopt(consumer, pointer)
      @consumer = consumer
      @handle = Handle.new(:received, pointer)
      @payload = copy_payload.freeze
    end

    # At once, so that the garbage collector knows how much memory a message takes, also of one that nobody looks into.
    def copy_payload
      length = FFI::MemoryPointer.new(:size_t)
      @handle.use do |pointer|
        bytes = Library.choria_received_payload(pointer, length)
        length.read(:size_t).zero? ? "".b : bytes.read_bytes(length.read(:size_t))
      end
    end
  end
end
