# frozen_string_literal: true

require_relative "trust"

module Choria
  # The token of a client, a server or for provisioning.
  class Token
    KINDS = Library::TOKEN_KINDS.to_h { |name, number| [number, name.downcase] }.freeze # :nodoc:
    private_constant :KINDS

    class << self
      # Verifies signature, chain and times of a token's text; white space at its end is fine. +now+ is a Time, +nil+ the
      # clock. Raises TokenInvalidError, TokenUntrustedError, TokenExpiredError.
      def verify(text, trust, now: nil)
        trust.use { |pointer| new(:choria_token_verify, pointer, Library.text(text), Library.unix(now)) }
      end

      # Verifies a token in a file. Raises NotFoundError and IoError besides what Token.verify raises.
      def verify_file(path, trust, now: nil)
        trust.use { |pointer| new(:choria_token_verify_file, pointer, Library.text(path), Library.unix(now)) }
      end

      # Reads a token's text <b>without verifying anything</b>: whoever wrote it may have claimed whatever they liked.
      def read(text)
        new(:choria_token_read, Library.text(text))
      end

      private :new
    end

    def initialize(function, *arguments) # :nodoc:
      @handle = Handle.make(:token, function, *arguments)
    end

    # <tt>:client</tt>, <tt>:server</tt> or <tt>:provisioning</tt>.
    def kind
      KINDS.fetch(@handle.ask(:choria_token_get_kind))
    end

    # Whether it came from a method that verifies.
    def verified?
      @handle.ask(:choria_token_is_verified)
    end

    # A server's identity, a client's caller id such as <tt>"up=ann"</tt>, <tt>""</tt> for provisioning.
    def identity
      @handle.text(:choria_token_identity)
    end

    # The organization it was made for.
    def organization
      @handle.text(:choria_token_organization)
    end

    # The owner's public key in hexadecimal, <tt>""</tt> if it has none.
    def public_key
      @handle.text(:choria_token_public_key)
    end

    # The Time when it or the chain that vouches for it expires, +nil+ for never.
    def expires
      seconds = @handle.ask(:choria_token_expires)
      Time.at(seconds) unless seconds.zero?
    end

    # Whether the token permits something, named as in its claims: +:submission+, +:streams+, +:fleet_management+…
    def permits?(permission)
      @handle.ask(:choria_token_permits, Library.text(permission))
    end

    # All claims as a Hash, just as they are in the token.
    def claims
      Library.json(@handle.text(:choria_token_claims, nil))
    end

    # Shows what kind of token it is and whose; never the token itself.
    def inspect
      "#<#{self.class} #{kind} #{identity.inspect} of #{organization.inspect}, #{verified? ? 'verified' : 'not verified'}>"
    end
  end

  # Verifies a token, given as its text or as the path of a file, and returns the Token. A String that begins with
  # +eyJ+, as every token does, is a text; a Pathname is always a file. Without a Trust the issuers of the configuration that
  # the +choria+ command finds are believed.
  #
  #   Choria.verify_token("/etc/choria/server.jwt").identity
  #
  # Raises what Token.verify and Token.verify_file raise.
  def self.verify_token(path_or_text, trust = Trust.from_config, now: nil)
    if path_or_text.is_a?(String) && path_or_text.start_with?("eyJ")
      Token.verify(path_or_text, trust, now: now)
    else
      Token.verify_file(path_or_text, trust, now: now)
    end
  end
end
