# frozen_string_literal: true

require_relative "helper"
require_relative "header"

# The tables of Choria::Library against the header, so that neither changes alone.
class LibraryTest < Minitest::Test
  HEADER = Header.read
  TABLE = Choria::Library::QUICK.merge(Choria::Library::WAITING)

  def test_the_header_was_understood
    assert_operator HEADER.functions.length, :>=, 90
    assert_equal [%i[string pointer size_t pointer], :int32], HEADER.functions[:choria_draft_new]
    assert_equal [%i[pointer], :pointer], HEADER.functions[:choria_submitter_error]
    assert_equal [[], :string], HEADER.functions[:choria_version]
  end

  HEADER.functions.each do |name, signature|
    define_method(:"test_#{name}_is_attached_as_declared") do
      next assert_match(/\w+ \w+/, Choria::Library::LEFT_OUT[name]) if Choria::Library::LEFT_OUT.key?(name)

      assert_equal signature, TABLE[name]
      assert_respond_to Choria::Library, name
    end
  end

  def test_nothing_is_attached_that_is_not_declared
    assert_empty TABLE.keys - HEADER.functions.keys
    assert_empty Choria::Library::LEFT_OUT.keys - HEADER.functions.keys
    assert_empty Choria::Library::QUICK.keys & Choria::Library::WAITING.keys
  end

  def test_numbers_of_enumerations
    assert_equal HEADER.enum("choria_result", "CHORIA_"), Choria::Library::RESULTS
    assert_equal HEADER.enum("choria_token_kind", "CHORIA_TOKEN_"), Choria::Library::TOKEN_KINDS
    assert_equal HEADER.enum("choria_event_kind", "CHORIA_EVENT_"), Choria::Library::EVENT_KINDS
  end

  def test_versions
    assert_equal Choria::VERSION, Choria.library_version
    assert_equal Choria::Library::ABI_VERSION, Choria::Library.choria_abi_version
  end

  # A header that differs must be noticed, or the tests above could not fail.
  def test_drift_is_seen
    changed = Header.new(<<~C)
      enum choria_result { CHORIA_OK = 0, CHORIA_END = 2 };
      /* int choria_not_this(void); */
      enum choria_result choria_draft_set_ttl(struct choria_draft *draft,
                                              uint32_t seconds);
    C
    refute_equal TABLE[:choria_draft_set_ttl], changed.functions[:choria_draft_set_ttl]
    assert_equal %i[choria_draft_set_ttl], changed.functions.keys
    refute_equal Choria::Library::RESULTS, changed.enum("choria_result", "CHORIA_")
  end
end

# How the library is found, or not.
class LoadingTest < Minitest::Test
  {
    "missing file" => ["/nonexistent/libchoria.so.1", /install the package libchoria1.*CHORIA_LIBRARY/],
    "not a library" => [__FILE__, /cannot be loaded/],
    "another library" => ["libc.so.6", /cannot be loaded.*choria_/]
  }.each do |name, (library, message)|
    define_method(:"test_#{name.tr(' ', '_')}") do
      output, status = Open3.capture2e({ "CHORIA_LIBRARY" => library }, RbConfig.ruby, "-I", LIB, "-e", 'require "choria"')
      refute_predicate status, :success?
      assert_match message, output.tr("\n", " ")
    end
  end
end
