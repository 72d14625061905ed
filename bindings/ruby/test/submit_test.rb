# frozen_string_literal: true

require_relative "helper"
require "etc"

# Submission into spools of the test's own, without a socket.
class SpoolTest < Minitest::Test
  UUID = /\A\h{8}-\h{4}-4\h{3}-[89ab]\h{3}-\h{12}\z/

  def setup
    @folder = Dir.mktmpdir("choria-ruby-")
  end

  def teardown
    FileUtils.remove_entry(@folder)
  end

  # A server configuration with a spool and without a socket.
  def config(extra = "", spool: "plugin.choria.submission.spool = #{@folder}/spool")
    path = File.join(@folder, "server.conf")
    File.write(path, "identity = ruby.example.net\n#{spool}\nplugin.choria.submission.socket = #{@folder}/none.sock\n#{extra}\n")
    path
  end

  def spooled
    Dir[File.join(@folder, "spool", "P*", "*.msg")].sort.map { |path| [path[/P\d/], JSON.parse(File.read(path))] }
  end

  def test_defaults
    id = Choria.submit("jobs.backup", "payload", config: config)
    assert_match UUID, id
    assert_equal Encoding::UTF_8, id.encoding
    ((priority, message)) = spooled
    assert_equal "P4", priority
    expected = { "id" => id, "subject" => "jobs.backup", "payload" => ["payload"].pack("m0"), "reliable" => false,
                 "priority" => 4, "max_tries" => 100, "tries" => 0, "sign" => false, "sender" => "user #{Process.euid}",
                 "identity" => "ruby.example.net", "headers" => nil }
    assert_equal expected, message.slice(*expected.keys)
    assert_in_delta 86_400, message["ttl"]
  end

  def test_every_option
    payload = "\0binary\xff".b
    Choria.submit("jobs.backup", payload, reliable: true, priority: 0, ttl: 90.5, max_tries: 7, sign: true,
                                          headers: { "Acme" => "grün", region: :north }, config: config)
    ((priority, message)) = spooled
    assert_equal "P0", priority
    assert_equal [payload].pack("m0"), message["payload"]
    assert_equal [true, 0, 90.5, 7, true], message.values_at("reliable", "priority", "ttl", "max_tries", "sign")
    assert_equal({ "Acme" => "grün", "region" => "north" }, message["headers"])
  end

  def test_many
    submitter = Choria::Submitter.new(config: config)
    drafts = (1..50).map { |number| Choria::Draft.new("jobs.many", number.to_s, priority: 2) }
    ids = submitter.submit_many(drafts)
    assert_equal ids, spooled.map { |_, message| message["id"] }
    assert_equal (1..50).map { |number| [number.to_s].pack("m0") }, spooled.map { |_, message| message["payload"] }
    status = submitter.status
    assert_equal 50, status["messages"]
    assert_equal [0, 0, 50, 0, 0], status["priorities"].map { |priority| priority["messages"] }
    assert_equal [], submitter.submit_many([])
  end

  def test_a_draft_may_be_sent_twice
    submitter = Choria::Submitter.new(config: config)
    draft = Choria::Draft.new("jobs.twice", "x")
    refute_equal submitter.submit(draft), submitter.submit(draft)
    assert_equal 2, submitter.status["messages"]
  end

  def test_full
    submitter = Choria::Submitter.new(config: config("plugin.choria.submission.max_spool_size = 3"))
    error = assert_raises(Choria::SpoolFullError) { 10.times { submitter.submit("jobs.full", "x") } }
    assert_equal "CHORIA_SPOOL_FULL", error.code_name
    held = spooled.length
    assert_includes 3..4, held
    assert_equal held, submitter.status["messages"]
  end

  def test_many_tell_what_was_taken_beside_a_failure
    submitter = Choria::Submitter.new(config: config("plugin.choria.submission.max_message_size = 100"))
    drafts = ["a", "b", "c" * 101, "d"].map { |payload| Choria::Draft.new("jobs.some", payload) }
    error = assert_raises(Choria::TooLargeError) { submitter.submit_many(drafts) }
    assert_equal 4, error.accepted.length
    assert_nil error.accepted[2]
    assert_equal error.accepted.values_at(0, 1, 3), spooled.map { |_, message| message["id"] }
    assert_equal %w[a b d].map { |payload| [payload].pack("m0") }, spooled.map { |_, message| message["payload"] }
  end

  def test_too_large
    submitter = Choria::Submitter.new(config: config("plugin.choria.submission.max_message_size = 100"))
    assert submitter.submit("jobs.size", "x" * 100)
    assert_raises(Choria::TooLargeError) { submitter.submit("jobs.size", "x" * 101) }
  end

  {
    "wildcard" => ["jobs.*", "x"],
    "white space" => ["jobs. x", "x"],
    "empty payload" => ["jobs.x", ""],
    "header with two lines" => ["jobs.x", "x", { headers: { "X" => "1\n2" } }],
    "headers of ours" => ["jobs.x", "x", { headers: { "Choria-Sender" => "root" } }],
    "headers of the broker" => ["jobs.x", "x", { headers: { "nats-msg-id" => "1" } }],
    "more than a month" => ["jobs.x", "x", { ttl: 32 * 86_400 }]
  }.each do |name, (subject, payload, options)|
    define_method(:"test_invalid_#{name.tr(' ', '_')}") do
      assert_raises(Choria::InvalidMessageError) { Choria.submit(subject, payload, config: config, **(options || {})) }
      assert_empty spooled
    end
  end

  def test_missing_configuration
    assert_raises(Choria::NotFoundError) { Choria.submit("jobs.x", "x", config: "#{@folder}/none.conf") }
  end

  def test_closed
    submitter = Choria::Submitter.new(config: config)
    2.times { submitter.close }
    assert_raises(Choria::ClosedError) { submitter.submit("jobs.x", "x") }
  end

  def test_threads_share_a_submitter
    submitter = Choria::Submitter.new(config: config)
    ids = Array.new(8) { |thread| Thread.new { Array.new(10) { |number| submitter.submit("jobs.t", "#{thread}.#{number}") } } }
    assert_equal 80, ids.flat_map(&:value).uniq.length
    assert_equal 80, spooled.length
  end

  def test_in_a_child_process
    submitter = Choria::Submitter.new(config: config)
    first = submitter.submit("jobs.parent", "x")
    second = in_child { submitter.submit("jobs.child", "x") }
    assert_equal [first, second], spooled.map { |_, message| message["id"] }
  end
end

# Submission through the socket of choria-submit.
class SocketTest < Minitest::Test
  def test_socket
    submitter = Choria::Submitter.new(socket: network[:socket])
    assert_match SpoolTest::UUID, submitter.submit("jobs.socket", "x", reliable: true)
    ids = submitter.submit_many(Array.new(20) { |number| Choria::Draft.new("jobs.socket", number.to_s, reliable: true) })
    assert_equal 20, ids.uniq.length
    assert_equal network[:spool], submitter.status["spool"]
  end

  def test_socket_of_the_configuration
    assert_match SpoolTest::UUID, Choria.submit("jobs.socket", "x", config: network[:server_config])
  end

  # What a user may do that is neither root nor the owner of the spool.
  def as_nobody(&block)
    skip "only root can become another user" unless Process.euid.zero?
    network[:socket]
    in_child do
      nobody = Etc.getpwnam("nobody")
      Process::Sys.setgid(nobody.gid)
      Process::Sys.setuid(nobody.uid)
      block.call
    rescue Choria::Error => e
      [e.class.name, e.message]
    end
  end

  def test_unprivileged
    assert_match SpoolTest::UUID, as_nobody { Choria.submit("local.note", "x", socket: network[:socket]) }
  end

  def test_refused
    kind, message = as_nobody { Choria.submit("jobs.note", "x", socket: network[:socket]) }
    assert_equal "Choria::RefusedError", kind
    assert_includes message, "jobs.note"
    assert_includes message, "plugin.choria.submission.allow"
  end

  def test_another_sender_is_refused
    kind, = as_nobody { Choria.submit("local.note", "x", sender: "root", socket: network[:socket]) }
    assert_equal "Choria::RefusedError", kind
  end

  def test_neither_socket_nor_spool
    kind, message = as_nobody { Choria.submit("local.note", "x", socket: "/nonexistent/submit.sock") }
    assert_equal "Choria::UnavailableError", kind
    assert_includes message, "/nonexistent/submit.sock"
  end

  # The command and the gem leave the same message behind, but for id and times.
  def test_same_message_as_the_command
    messages = Dir.mktmpdir do |folder|
      config = File.join(folder, "server.conf")
      File.write(config, "identity = ruby.example.net\nplugin.choria.submission.spool = #{folder}/spool\n" \
                         "plugin.choria.submission.socket = #{folder}/none.sock\n")
      Choria.submit("jobs.same", "pay\nload", reliable: true, priority: 1, ttl: 3600, max_tries: 9, sign: true,
                                              headers: { "Acme" => "1" }, config: config)
      output, status = Open3.capture2e(TestNetwork.program, "tool", "submit", "--config", config, "--reliable", "--priority", "1", "--ttl", "1h",
                                       "--tries", "9", "--sign", "-H", "Acme=1", "jobs.same", "--", "-", stdin_data: "pay\nload")
      assert_predicate status, :success?, output
      Dir["#{folder}/spool/P1/*.msg"].sort.map { |path| File.read(path) }
    end
    assert_equal 2, messages.length
    own, other = messages.map { |text| text.sub(/"id":"[^"]*"/, "").sub(/"created":"[^"]*"/, "") }
    assert_equal own, other
    refute_equal(*messages)
  end
end
