# frozen_string_literal: true

require_relative "draft"

module Choria
  # Hands messages to this machine's server, through the socket of choria-submit or, where there is none, by writing the
  # spool. May be used by many threads at once, and after +fork+.
  class Submitter
    # - +config+: server configuration that names socket and spool; +nil+ is <tt>/etc/choria/server.conf</tt> if that
    #   exists, else the defaults.
    # - +socket+: path of the socket; +nil+ is the configured one.
    #
    # Neither is touched before the first message.
    def initialize(config: nil, socket: nil)
      @handle = Handle.make(:submitter, :choria_submitter_open, Library.text(config), Library.text(socket))
    end

    # Submits one message: a subject, a payload and the options of Draft.new, or a Draft. Returns its id as a String.
    # The message is on disk when this returns.
    #
    # Raises RefusedError, SpoolFullError, TooLargeError, UnavailableError, InvalidMessageError, IoError.
    def submit(subject, payload = nil, **options)
      return hand_over_one(subject) if subject.is_a?(Draft)

      draft = Draft.new(subject, payload, **options)
      begin
        hand_over_one(draft)
      ensure
        draft.release
      end
    end

    # Submits many Draft objects with few waits for the disk, and returns their ids in the same order.
    #
    # Raises for the first that is not taken; one that is refused keeps no other out. Error#accepted has the ids of those
    # that were taken, each at the place of its draft, and +nil+ for the others: submit only these again.
    def submit_many(drafts)
      pointers = drafts.map(&:pointer)
      list = FFI::MemoryPointer.new(:pointer, [pointers.length, 1].max).write_array_of_pointer(pointers)
      @handle.use { |submitter| hand_over(submitter, list, pointers.length) }
    end

    # What waits in the spool, a Hash: <tt>"spool"</tt>, <tt>"messages"</tt>, <tt>"bytes"</tt>, <tt>"priorities"</tt> (an
    # Array with <tt>"priority"</tt>, <tt>"messages"</tt>, <tt>"bytes"</tt>, <tt>"oldest"</tt> each), <tt>"corrupt"</tt>,
    # <tt>"limits"</tt>.
    def status
      @handle.use { |submitter| Library.json(Library.text_from(:choria_submitter_status, submitter)) }
    end

    # Frees what the library holds. Without it the garbage collector does so.
    def close
      @handle.close
      nil
    end

    private

    def hand_over_one(draft)
      @handle.use { |submitter| Library.text_from(:choria_submitter_submit, submitter, draft.pointer) }
    end

    def hand_over(submitter, list, count)
      Library.masked do
        ids = FFI::MemoryPointer.new(:pointer, [count, 1].max) # all NULL
        accepted = FFI::MemoryPointer.new(:size_t)
        result = Library.choria_submitter_submit_many(submitter, list, count, ids, accepted)
        message = Library.last_error
        taken = ids.read_array_of_pointer(count).map { |id| id.null? ? nil : Library.take_text(id) }
        raise Error.for(result, message, accepted: taken) unless result == Library::OK

        taken
      end
    end
  end
end
