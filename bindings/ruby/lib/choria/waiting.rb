# frozen_string_literal: true

require "io/wait"
require_relative "handle"

module Choria
  # What Replies and Consumer have in common: something comes in while others may run. Waiting is done by Ruby on a file
  # descriptor, so signals, Timeout, Thread#kill and fiber schedulers work as with any IO.
  module Waiting
    # An IO that is readable while something waits to be fetched or the end is reached: for IO.select and event loops. It
    # belongs to this object; do not read from it and do not close it.
    def to_io
      @turn.synchronize { @io ||= open_io }
    end

    # Frees what the library holds and ends what is under way. May be called more than once.
    def close
      @handle.close
      @turn.synchronize { @io&.close }
      nil
    end

    # Whether it was closed.
    def closed?
      @handle.closed?
    end

    private

    def start_waiting(type, function, *arguments)
      @turn = Mutex.new
      @out = FFI::MemoryPointer.new(:pointer)
      @type = type
      @handle = Handle.make(type, function, *arguments)
    end

    # Asks the library until it has something, which goes to the block and is what the block makes of it. nil at the end.
    def fetch(timeout, &block)
      deadline = timeout && (Process.clock_gettime(Process::CLOCK_MONOTONIC) + timeout)
      waited = false
      loop do
        result, value = poll(&block)
        case result
        when Library::OK then return value
        when Library::RESULTS[:END] then return
        else
          waited = true
          wait(deadline, timeout)
        end
      end
    rescue ClosedError
      raise unless waited

      raise closed_meanwhile
    end

    # One question that does not wait; its answer is not lost to Timeout or Thread#raise.
    def poll
      @turn.synchronize do
        @handle.use do |pointer|
          Library.masked do
            result = Library.public_send(:"choria_#{@type}_next", pointer, 0, @out)
            next [result, yield(@out.read_pointer)] if result == Library::OK
            next result if Library::RESULTS.values_at(:END, :TIMEOUT).include?(result)

            raise Error.for(result, Library.last_error)
          end
        end
      end
    end

    def wait(deadline, timeout)
      remaining = deadline && [deadline - Process.clock_gettime(Process::CLOCK_MONOTONIC), 0].max
      return if to_io.wait_readable(remaining)

      raise Error.for(Library::RESULTS[:TIMEOUT], "nothing arrived within #{timeout} s: ask again, or wait longer")
    rescue IOError
      raise unless closed?

      raise closed_meanwhile
    end

    def closed_meanwhile
      Error.for(Library::RESULTS[:CANCELLED], "closed while a thread waited for it")
    end

    # A duplicate of the descriptor, which lives on its own: the number cannot come to mean another file.
    def open_io
      number = @handle.ask(:"choria_#{@type}_fd")
      raise Error.for(Library::RESULTS[:IO], "the library has no descriptor to wait for") if number.negative?

      IO.for_fd(number, "rb", autoclose: false).dup
    end
  end
end
