# frozen_string_literal: true

require_relative "helper"

# One exception for each result code.
class ErrorTest < Minitest::Test
  CLASSES = {
    TIMEOUT: "TimeoutError", CANCELLED: "CancelledError", INVALID_ARGUMENT: "InvalidArgumentError",
    INVALID_CONFIGURATION: "InvalidConfigurationError", NOT_FOUND: "NotFoundError", IO: "IoError",
    INVALID_MESSAGE: "InvalidMessageError", REFUSED: "RefusedError", SPOOL_FULL: "SpoolFullError",
    TOO_LARGE: "TooLargeError", UNAVAILABLE: "UnavailableError", TOKEN_INVALID: "TokenInvalidError",
    TOKEN_UNTRUSTED: "TokenUntrustedError", TOKEN_EXPIRED: "TokenExpiredError",
    SIGNATURE_INVALID: "SignatureInvalidError", STALE: "StaleError", NOT_CONNECTED: "NotConnectedError",
    UNAUTHORIZED: "UnauthorizedError", INVALID_REQUEST: "InvalidRequestError", FORKED: "ForkedError",
    INTERNAL: "InternalError"
  }.freeze

  def test_every_code_has_a_class
    assert_equal Choria::Library::RESULTS.keys - %i[OK END], CLASSES.keys
  end

  CLASSES.each do |name, expected|
    define_method(:"test_#{name.downcase}") do
      code = Choria::Library::RESULTS.fetch(name)
      error = Choria::Error.for(code, "what went wrong")
      assert_equal "Choria::#{expected}", error.class.name
      assert_kind_of Choria::Error, error
      assert_equal [code, code], [error.code, error.class.code]
      assert_equal "what went wrong", error.message
      assert_equal "CHORIA_#{name}", error.code_name
    end
  end

  def test_a_code_of_a_newer_library
    error = Choria::Error.for(98, "something new")
    assert_instance_of Choria::Error, error
    assert_equal 98, error.code
  end

  # Failures that need no network, through the library itself.
  {
    "no subject" => [Choria::InvalidArgumentError, -> { Choria::Draft.new(nil, "x") }],
    "not UTF-8" => [Choria::InvalidArgumentError, -> { Choria::Token.read("\xff") }],
    "NUL in a text" => [ArgumentError, -> { Choria::Token.read("a\0b") }],
    "payload that is no String" => [TypeError, -> { Choria::Draft.new("a", 1) }],
    "missing configuration" => [Choria::NotFoundError, -> { Choria::Trust.from_config("/nonexistent.conf") }],
    "missing token file" => [Choria::NotFoundError, -> { Choria.verify_token("/nonexistent.jwt", Choria::Trust.new) }],
    "token file that is a directory" => [Choria::IoError, -> { Choria.verify_token("/tmp", Choria::Trust.new) }],
    "missing seed" => [Choria::NotFoundError, -> { Choria::Seed.open("/nonexistent.seed") }],
    "short seed" => [Choria::InvalidArgumentError, -> { Choria::Seed.from_hex("abcd") }],
    "issuer that is no key" => [Choria::InvalidArgumentError, -> { Choria::Trust.new(issuers: { "choria" => "zz" }) }],
    "no tries" => [Choria::InvalidMessageError, -> { Choria::Draft.new("a", "b", max_tries: 0) }],
    "priority" => [Choria::InvalidMessageError, -> { Choria::Draft.new("a", "b", priority: 5) }],
    "time to live" => [Choria::InvalidMessageError, -> { Choria::Draft.new("a", "b", ttl: 0) }]
  }.each do |name, (expected, action)|
    define_method(:"test_#{name.tr(' -', '_')}") do
      error = assert_raises(expected, &action)
      refute_empty error.message
      refute_match(/nil|Some\(|None/, error.message)
    end
  end

  def test_messages_of_threads_do_not_mix
    paths = (1..8).map { |number| "/nonexistent/#{number}.seed" }
    messages = paths.map { |path| Thread.new { Array.new(50) { assert_raises(Choria::NotFoundError) { Choria::Seed.open(path) }.message } } }
    messages.map(&:value).zip(paths) { |texts, path| texts.each { |text| assert_includes text, path } }
  end
end
