# frozen_string_literal: true

require_relative "choria/version"
require_relative "choria/error"
require_relative "choria/seed"
require_relative "choria/token"
require_relative "choria/submitter"
require_relative "choria/client"
require_relative "choria/consumer"

# Submit messages through this machine's Choria server, verify tokens, and make requests to the fleet, without running the
# +choria+ command. Everything stands on the C library <tt>libchoria.so.1</tt>, found by the system's loader or named in
# the environment variable +CHORIA_LIBRARY+.
#
# - Submission: Choria.submit, Submitter, Draft
# - Tokens and keys: Choria.verify_token, Token, Trust, Seed
# - The fleet: Client, Replies, Reply, Statistics
# - Reading what was submitted: Consumer, Received
# - Failures: Error and its subclasses
module Choria
  class << self
    # Submits one message and returns its id, a String. It is on disk when this returns. Takes the options of Draft.new,
    # and +config+ and +socket+ of Submitter.new.
    #
    #   Choria.submit("jobs.backup", '{"ok":true}', reliable: true)
    #
    # Raises what Submitter#submit raises. For many messages make one Submitter.
    def submit(subject, payload, config: nil, socket: nil, **options)
      submitter = Submitter.new(config: config, socket: socket)
      submitter.submit(subject, payload, **options)
    ensure
      submitter&.close
    end

    # What this machine's server says of itself, a Hash. +socket+ is the path of its socket, +nil+ the default one.
    #
    # Raises UnavailableError when no server listens there.
    def server_status(socket = nil)
      Library.json(Library.text_from(:choria_server_status, Library.text(socket)))
    end

    # Version of the C library, which may be newer than the gem.
    def library_version
      Library.choria_version
    end
  end
end
