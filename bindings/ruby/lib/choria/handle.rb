# frozen_string_literal: true

require "json"
require_relative "error"

module Choria
  # How the classes call the library: results become exceptions, owned texts are freed.
  module Library # :nodoc: all
    OK = RESULTS.fetch(:OK)

    module_function

    # Calls a function that answers with a result code; everything but CHORIA_OK raises the exception of that code.
    def call(function, *arguments)
      result = public_send(function, *arguments)
      raise Error.for(result, last_error) unless result == OK
    end

    # Calls a function that writes a text to its last argument, and takes that text over.
    def text_from(function, *arguments)
      masked do
        out = FFI::MemoryPointer.new(:pointer)
        call(function, *arguments, out)
        take_text(out.read_pointer)
      end
    end

    # Copies a text that the library gave away, and frees it.
    def take_text(pointer)
      utf8(pointer.read_string)
    ensure
      choria_string_free(pointer)
    end

    # Text from the library, which speaks UTF-8 only.
    def utf8(text)
      text&.force_encoding(Encoding::UTF_8)
    end

    # Text for the library: a copy in UTF-8 that no other thread can change during the call. nil stays nil.
    def text(value)
      return if value.nil?

      value = value.to_path if value.respond_to?(:to_path)
      value = value.to_s
      return value.dup if value.encoding == Encoding::BINARY # as paths and sockets give it; the library checks it

      value.encode(Encoding::UTF_8)
    end

    # Bytes for the library.
    def bytes(value)
      raise TypeError, "a payload is a String of bytes, not #{value.class}" unless value.is_a?(String)

      value
    end

    # Seconds as milliseconds. nil is 0, which the library reads as "as configured"; what is shorter than one
    # millisecond is one, as 0 would mean something else.
    def milliseconds(seconds)
      return 0 if seconds.nil?

      Integer((seconds * 1000).clamp(1, 0xFFFF_FFFF))
    end

    # Unix seconds for the library, where 0 is its own clock.
    def unix(time)
      time.nil? ? 0 : time.to_i
    end

    # A JSON text of the library. It bounds the depth itself, so that a node cannot end a loop over replies with it.
    def json(text)
      JSON.parse(utf8(text), max_nesting: false)
    end

    # Runs the block without the interruptions of Timeout and Thread#raise, so that nothing that the library just gave
    # away is lost. Waiting is done elsewhere.
    def masked(&block)
      Thread.handle_interrupt(Object => :never, &block)
    end

    def last_error
      utf8(choria_last_error)
    end
  end

  # One handle of the library: freed once, at +close+ or by the garbage collector, never during a call and never used
  # after it was freed.
  class Handle # :nodoc: all
    # Calls a function that writes a new handle to its last argument.
    def self.make(type, function, *arguments)
      Library.masked do
        out = FFI::MemoryPointer.new(:pointer)
        Library.call(function, *arguments, out)
        new(type, out.read_pointer)
      end
    end

    # For handles that are never closed.
    attr_reader :pointer

    def initialize(type, pointer)
      @type = type
      @pointer = FFI::AutoPointer.new(pointer, Library.method(:"choria_#{type}_free"))
      @lock = Mutex.new
      @users = 0
      @closed = false
    end

    # Gives the pointer to the block; it is not freed before the block ends.
    def use
      enter
      begin
        yield @pointer
      ensure
        leave
      end
    end

    # Calls a function with this handle as its first argument.
    def call(function, *arguments)
      use { |pointer| Library.call(function, pointer, *arguments) }
    end

    # Calls an accessor that answers with the value itself.
    def ask(function, *arguments)
      use { |pointer| Library.public_send(function, pointer, *arguments) }
    end

    # Calls an accessor that answers with a text, which is copied.
    def text(function, *arguments)
      Library.utf8(ask(function, *arguments))
    end

    # Frees the handle, as soon as calls of other threads that use it have ended.
    def close
      @lock.synchronize do
        @closed = true
        @pointer.free if @users.zero?
      end
    end

    def closed?
      @closed
    end

    private

    def enter
      @lock.synchronize do
        raise ClosedError, "this #{@type} is closed and cannot be used any more: make a new one" if @closed

        @users += 1
      end
    end

    def leave
      @lock.synchronize do
        @users -= 1
        @pointer.free if @closed && @users.zero?
      end
    end
  end
end
