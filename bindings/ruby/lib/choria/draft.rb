# frozen_string_literal: true

require_relative "handle"

module Choria
  # A message to submit: what the sender may say about it. The id, the time and the proven sender come with submission.
  # A draft cannot be changed and may be submitted more than once, each time as a new message.
  class Draft
    # - +subject+: where it goes, below <tt>COLLECTIVE.submission.in.</tt>; no wildcards, no white space.
    # - +payload+: String of bytes, copied.
    # - +reliable+: repeated until a stream has stored it; otherwise published once.
    # - +priority+: Integer, 0 is first and 4 last.
    # - +ttl+: seconds until it is not worth sending any more, at most 31 days.
    # - +max_tries+: Integer, how often a reliable message is tried, at least 1.
    # - +sign+: signed by this machine's server when it is sent.
    # - +sender+: +nil+ for the user that the kernel proves; another text is for root alone.
    # - +headers+: Hash of own headers; names may not begin with +choria+ or +nats+.
    #
    # Raises InvalidMessageError when a rule of submission is broken; some are seen here, all of them when it is submitted.
    def initialize(subject, payload, reliable: false, priority: 4, ttl: 86_400, max_tries: 100, sign: false, sender: nil,
                   headers: {})
      payload = Library.bytes(payload)
      handle = Handle.make(:draft, :choria_draft_new, Library.text(subject), payload, payload.bytesize)
      { reliable: reliable ? true : false, priority: priority, ttl: ttl, max_tries: max_tries, sign: sign ? true : false }
        .each { |option, value| handle.call(:"choria_draft_set_#{option}", value) }
      handle.call(:choria_draft_set_sender, Library.text(sender)) unless sender.nil?
      headers.each { |name, value| handle.call(:choria_draft_add_header, Library.text(name), Library.text(value)) }
      @pointer = handle.pointer
    end

    # Good for as long as somebody holds it: drafts that others have are never closed.
    attr_reader :pointer # :nodoc:

    # Frees a draft that nobody else has; the garbage collector does not know how large its payload is.
    def release # :nodoc:
      @pointer.free
    end
  end
end
