# frozen_string_literal: true

require_relative "library"

module Choria
  # What every failure of the library is. The message is one sentence that names the input, the rule and what to do.
  # There is one class for each result code of <tt>choria.h</tt>, so <tt>rescue Choria::SpoolFullError</tt> is exact and
  # <tt>rescue Choria::Error</tt> is all of them.
  class Error < StandardError
    # Result code as in <tt>choria.h</tt>; numbers never change. +nil+ for ClosedError, which is found in Ruby.
    attr_reader :code

    # Of Submitter#submit_many: for each draft the id if it was taken all the same, else +nil+. Otherwise empty.
    attr_reader :accepted

    # Makes an error of this class; the code is that of the class unless another is given.
    def initialize(message = nil, code: self.class.code, accepted: [])
      super(message)
      @code = code
      @accepted = accepted.freeze
    end

    # Name of the code, such as <tt>"CHORIA_SPOOL_FULL"</tt>.
    def code_name
      code && Library.choria_result_name(code)
    end

    class << self
      # Result code that the exceptions of this class stand for; +nil+ for Error itself.
      attr_reader :code

      # The exception for a result code. A code of a newer library that has no class here gives an Error that carries it.
      def for(code, message, accepted: []) # :nodoc:
        BY_CODE.fetch(code, Error).new(message, code: code, accepted: accepted)
      end
    end
  end

  # Nothing arrived in the time given; ask again.
  class TimeoutError < Error; end
  # The replies or the client they belong to were cancelled or closed.
  class CancelledError < Error; end
  # An argument is missing, not UTF-8, or outside of its range.
  class InvalidArgumentError < Error; end
  # The configuration file cannot be used.
  class InvalidConfigurationError < Error; end
  # A file, agent, action or stream does not exist.
  class NotFoundError < Error; end
  # The operating system refused or failed a read or write.
  class IoError < Error; end
  # A message breaks a rule of submission: subject, priority, time to live, headers.
  class InvalidMessageError < Error; end
  # This user may not submit that; the message names the user, the subject and the configuration key.
  class RefusedError < Error; end
  # The spool holds as many messages or bytes as configured; try again later.
  class SpoolFullError < Error; end
  # The payload is larger than configured.
  class TooLargeError < Error; end
  # Neither the socket nor the spool can be used.
  class UnavailableError < Error; end
  # Not a token of a known kind, or its claims are malformed.
  class TokenInvalidError < Error; end
  # No trusted issuer signed the token, or its chain does not hold.
  class TokenUntrustedError < Error; end
  # The token is expired, or not valid yet.
  class TokenExpiredError < Error; end
  # A signature is missing or wrong.
  class SignatureInvalidError < Error; end
  # A message is older than accepted, or from the future.
  class StaleError < Error; end
  # No broker could be reached, or the connection was lost.
  class NotConnectedError < Error; end
  # The broker or the AAA service refused the login or the request.
  class UnauthorizedError < Error; end
  # The inputs do not satisfy the DDL of the action.
  class InvalidRequestError < Error; end
  # A client, its replies or a consumer made before +fork+ was used in the child; make a new one there.
  class ForkedError < Error; end
  # A fault of the library itself, please report it.
  class InternalError < Error; end

  # Something was used after +close+.
  class ClosedError < Error; end

  class Error
    # Result codes and the exceptions for them: CHORIA_SPOOL_FULL is SpoolFullError.
    BY_CODE = Library::RESULTS.except(:OK, :END).to_h do |name, code|
      error = Choria.const_get("#{name.to_s.split('_').map(&:capitalize).join}Error", false)
      error.instance_variable_set(:@code, code)
      [code, error]
    end.freeze
    private_constant :BY_CODE
  end
end
