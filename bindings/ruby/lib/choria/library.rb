# frozen_string_literal: true

require "ffi"

module Choria
  # The C interface, row by row as include/choria.h has it: names, types, which calls wait. A test compares the tables
  # with the header, so that they cannot drift apart. What is public stands in the classes that use these functions.
  module Library # :nodoc: all
    extend FFI::Library

    # Version of the C interface that these tables describe; another one is refused at load time.
    ABI_VERSION = 1

    RESULTS = {
      OK: 0, END: 1, TIMEOUT: 2, CANCELLED: 3,
      INVALID_ARGUMENT: 10, INVALID_CONFIGURATION: 11, NOT_FOUND: 12, IO: 13,
      INVALID_MESSAGE: 20, REFUSED: 21, SPOOL_FULL: 22, TOO_LARGE: 23, UNAVAILABLE: 24,
      TOKEN_INVALID: 30, TOKEN_UNTRUSTED: 31, TOKEN_EXPIRED: 32, SIGNATURE_INVALID: 33, STALE: 34,
      NOT_CONNECTED: 40, UNAUTHORIZED: 41, INVALID_REQUEST: 42,
      FORKED: 90, INTERNAL: 99
    }.freeze

    TOKEN_KINDS = { CLIENT: 1, SERVER: 2, PROVISIONING: 3 }.freeze

    EVENT_KINDS = { REPLY: 1, PONG: 2, UNEXPECTED: 3, INVALID: 4, DONE: 5 }.freeze

    # Functions that return at once. Kept so on purpose: a call that does not give up the interpreter's lock may be
    # handed the bytes of a Ruby string without a copy.
    QUICK = {
      choria_version: [[], :string],
      choria_abi_version: [[], :uint32],
      choria_last_error: [[], :string],
      choria_result_name: [[:int32], :string],
      choria_string_free: [[:pointer], :void],

      choria_draft_new: [%i[string pointer size_t pointer], :int32],
      choria_draft_free: [[:pointer], :void],
      choria_draft_set_reliable: [%i[pointer bool], :int32],
      choria_draft_set_priority: [%i[pointer uint32], :int32],
      choria_draft_set_ttl: [%i[pointer double], :int32],
      choria_draft_set_max_tries: [%i[pointer uint32], :int32],
      choria_draft_set_sign: [%i[pointer bool], :int32],
      choria_draft_set_sender: [%i[pointer string], :int32],
      choria_draft_add_header: [%i[pointer string string], :int32],
      choria_submitter_free: [[:pointer], :void],
      choria_submitter_error: [[:pointer], :pointer],

      choria_trust_new: [[:pointer], :int32],
      choria_trust_add_issuer: [%i[pointer string string], :int32],
      choria_trust_free: [[:pointer], :void],
      choria_token_verify: [%i[pointer string int64 pointer], :int32],
      choria_token_read: [%i[string pointer], :int32],
      choria_token_free: [[:pointer], :void],
      choria_token_get_kind: [[:pointer], :int32],
      choria_token_is_verified: [[:pointer], :bool],
      choria_token_identity: [[:pointer], :string],
      choria_token_organization: [[:pointer], :string],
      choria_token_public_key: [[:pointer], :string],
      choria_token_expires: [[:pointer], :int64],
      choria_token_permits: [%i[pointer string], :bool],
      choria_token_claims: [%i[pointer pointer], :string],
      choria_seed_from_hex: [%i[string pointer], :int32],
      choria_seed_generate: [[:pointer], :int32],
      choria_seed_public_key: [[:pointer], :string],
      choria_seed_sign: [%i[pointer pointer size_t pointer], :int32],
      choria_seed_free: [[:pointer], :void],
      choria_signature_verify: [%i[string pointer size_t string], :int32],

      choria_received_new: [%i[string pointer size_t pointer], :int32],
      choria_received_add_header: [%i[pointer string string], :int32],
      choria_received_verify: [%i[pointer pointer double int64], :int32],
      choria_received_free: [[:pointer], :void],
      choria_received_subject: [[:pointer], :string],
      choria_received_payload: [%i[pointer pointer], :pointer],
      choria_received_id: [[:pointer], :string],
      choria_received_sender: [[:pointer], :string],
      choria_received_identity: [[:pointer], :string],
      choria_received_is_verified: [[:pointer], :bool],
      choria_received_created: [[:pointer], :double],
      choria_received_header: [%i[pointer string], :string],
      choria_received_sequence: [[:pointer], :uint64],

      choria_client_error: [[:pointer], :pointer],
      choria_client_caller: [[:pointer], :string],
      choria_request_new: [%i[string string pointer], :int32],
      choria_request_free: [[:pointer], :void],
      choria_request_set_input: [%i[pointer string string], :int32],
      choria_request_set_input_text: [%i[pointer string string], :int32],
      choria_request_set_collective: [%i[pointer string], :int32],
      choria_request_add_fact: [%i[pointer string], :int32],
      choria_request_add_class: [%i[pointer string], :int32],
      choria_request_add_identity: [%i[pointer string], :int32],
      choria_request_add_agent: [%i[pointer string], :int32],
      choria_request_set_compound: [%i[pointer string], :int32],
      choria_request_add_node: [%i[pointer string], :int32],
      choria_request_set_timeout: [%i[pointer uint32], :int32],
      choria_request_set_discovery_timeout: [%i[pointer uint32], :int32],
      choria_replies_fd: [[:pointer], :int],
      choria_replies_cancel: [[:pointer], :void],
      choria_replies_error: [[:pointer], :pointer],
      choria_replies_request_id: [[:pointer], :string],
      choria_event_get_kind: [[:pointer], :int32],
      choria_event_sender: [[:pointer], :string],
      choria_event_status: [[:pointer], :int32],
      choria_event_message: [[:pointer], :string],
      choria_event_data: [%i[pointer pointer], :string],
      choria_event_is_verified: [[:pointer], :bool],
      choria_event_free: [[:pointer], :void],

      choria_consumer_fd: [[:pointer], :int],
      choria_consumer_error: [[:pointer], :pointer]
    }.freeze

    # Functions that read files, wait for the disk or for the network: other Ruby threads run meanwhile.
    WAITING = {
      choria_submitter_open: [%i[string string pointer], :int32],
      choria_submitter_submit: [%i[pointer pointer pointer], :int32],
      choria_submitter_submit_many: [%i[pointer pointer size_t pointer pointer], :int32],
      choria_submitter_status: [%i[pointer pointer], :int32],
      choria_server_status: [%i[string pointer], :int32],
      choria_trust_from_config: [%i[string pointer], :int32],
      choria_trust_add_signer: [%i[pointer string], :int32],
      choria_token_verify_file: [%i[pointer string int64 pointer], :int32],
      choria_seed_open: [%i[string pointer], :int32],
      choria_client_open: [%i[string uint32 pointer], :int32],
      choria_client_free: [[:pointer], :void],
      choria_client_discover: [%i[pointer pointer pointer], :int32],
      choria_client_request: [%i[pointer pointer pointer], :int32],
      choria_client_ping: [%i[pointer pointer pointer], :int32],
      choria_replies_next: [%i[pointer int32 pointer], :int32],
      choria_replies_free: [[:pointer], :void],
      choria_consumer_open: [%i[pointer string string string pointer], :int32],
      choria_consumer_next: [%i[pointer int32 pointer], :int32],
      choria_consumer_ack: [%i[pointer pointer], :int32],
      choria_consumer_free: [[:pointer], :void]
    }.freeze

    # Functions of the header that Ruby does not use, with the reason.
    LEFT_OUT = {
      choria_client_call: "a `break` or an exception in the block would jump over the library's own frames; " \
                          "Replies#each gives the same with choria_replies_next"
    }.freeze

    begin
      ffi_lib ENV.fetch("CHORIA_LIBRARY", "libchoria.so.1")
      QUICK.each { |name, (arguments, result)| attach_function(name, arguments, result) }
      WAITING.each { |name, (arguments, result)| attach_function(name, arguments, result, blocking: true) }
    rescue LoadError => e
      raise LoadError, "the Choria library cannot be loaded: #{e.message.strip}; install the package libchoria1, " \
                       "or name the file in the environment variable CHORIA_LIBRARY"
    end

    unless choria_abi_version == ABI_VERSION
      raise LoadError, "the Choria library has version #{choria_abi_version} of the C interface, this gem needs " \
                       "#{ABI_VERSION}: install the gem and the library from the same release"
    end
  end
end
