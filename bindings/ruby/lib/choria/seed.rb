# frozen_string_literal: true

require_relative "handle"

module Choria
  # A private ed25519 key, as the seed files of servers and clients hold it. The key itself cannot be read back.
  class Seed
    class << self
      # Reads a seed file of exactly 64 hexadecimal characters. Raises NotFoundError, IoError, InvalidArgumentError.
      def open(path)
        new(:choria_seed_open, Library.text(path))
      end

      # Takes 64 hexadecimal characters.
      def from_hex(hex)
        new(:choria_seed_from_hex, Library.text(hex))
      end

      # Makes a new key.
      def generate
        new(:choria_seed_generate)
      end

      private :new
    end

    def initialize(function, *arguments) # :nodoc:
      @handle = Handle.make(:seed, function, *arguments)
    end

    # The public key, 64 hexadecimal characters.
    def public_key
      @handle.text(:choria_seed_public_key)
    end

    # Signs a String of bytes. Returns 128 hexadecimal characters, as the header <tt>Choria-Signature</tt> has them.
    def sign(data)
      data = Library.bytes(data)
      @handle.use { |seed| Library.text_from(:choria_seed_sign, seed, data, data.bytesize) }
    end

    # Shows the public key only.
    def inspect
      "#<#{self.class} #{public_key}>"
    end
  end

  # Verifies that +signature+ (128 hexadecimal characters) over +data+ was made by the owner of +public_key+ (64
  # hexadecimal characters). Returns +true+ or raises SignatureInvalidError.
  def self.verify_signature(public_key, data, signature)
    data = Library.bytes(data)
    Library.call(:choria_signature_verify, Library.text(public_key), data, data.bytesize, Library.text(signature))
    true
  end
end
