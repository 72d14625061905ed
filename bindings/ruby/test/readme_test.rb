# frozen_string_literal: true

require_relative "helper"

# The examples of README.md, run as they are written there.
class ReadmeTest < Minitest::Test
  README = File.read(File.expand_path("../README.md", __dir__))
  EXAMPLES = README.scan(/^```ruby\n# (\S+)\n(.*?)^```$/m).to_h
  FRONT_PAGE = File.read(File.expand_path("../../../README.md", __dir__))
  ALL_AT_ONCE = FRONT_PAGE[/^```ruby\n(.*?)^```$/m, 1]
  MOST_LINES = 10

  # Runs an example with the environment of the network's client. Gives output, errors and whether it succeeded.
  def run_example(name, *arguments, around: [])
    network[:client_config]
    Dir.mktmpdir do |folder|
      path = File.join(folder, name)
      File.write(path, EXAMPLES.fetch(name) { ALL_AT_ONCE })
      output, errors, status = Open3.capture3(*around, RbConfig.ruby, "-w", "-I", LIB, path, *arguments)
      [output, errors, status.success?]
    end
  end

  def test_there_are_no_others_and_they_are_short
    assert_equal %w[submit.rb verify.rb ping.rb], EXAMPLES.keys
    assert_equal EXAMPLES.length, README.scan("```ruby").length
    { **EXAMPLES, "all.rb" => ALL_AT_ONCE }.each { |name, text| assert_operator text.lines.reject { |line| line.strip.empty? }.length, :<=, MOST_LINES, name }
  end

  def test_submit
    output, errors, good = run_example("submit.rb", __FILE__, network[:server_config])
    assert good, errors
    assert_match(/\A\h{8}-\h{4}-4\h{3}-[89ab]\h{3}-\h{12}\n\z/, output)
    Choria::Client.open do |client|
      client.consumer(network[:stream], filter: "choria.submission.in.jobs.backup") do |consumer|
        message = consumer.each(timeout: 20).find { |some| some.id == output.chomp }
        assert_equal File.binread(__FILE__), message.payload
        assert_predicate message.verify(network.trust, max_age: 300), :verified?
      end
    end
  end

  def test_submit_into_a_full_spool
    Dir.mktmpdir do |folder|
      config = "#{folder}/server.conf"
      File.write(config, "identity = n1\nplugin.choria.submission.spool = #{folder}/spool\n" \
                         "plugin.choria.submission.socket = #{folder}/none.sock\nplugin.choria.submission.max_spool_size = 1\n")
      assert_raises(Choria::SpoolFullError) { 5.times { Choria.submit("jobs.backup", "x", config: config) } }
      output, errors, good = run_example("submit.rb", __FILE__, config)
      assert_equal ["", false], [output, good]
      assert_match(/\Atry again later: .*full.*\n\z/, errors)
    end
  end

  def test_verify
    output, errors, good = run_example("verify.rb", network[:server_token])
    assert good, errors
    assert_match(/\Aserver #{network[:identities].first}, until \d{4}-.*\nmay submit\n\z/, output)
  end

  def test_verify_what_is_not_to_be_believed
    { expired_token: "CHORIA_TOKEN_EXPIRED", foreign_token: "CHORIA_TOKEN_UNTRUSTED", client_seed: "CHORIA_TOKEN_INVALID" }.each do |file, code|
      output, errors, good = run_example("verify.rb", network[file])
      assert_equal ["", false], [output, good]
      assert_match(/\A#{code}: .+\n\z/, errors)
    end
  end

  # The front page's, with the socket of the submission service at /run/choria.
  def test_all_at_once
    script = "mount -t tmpfs none /run && mkdir /run/choria && mount --bind #{File.dirname(network[:socket])} /run/choria && exec \"$@\""
    around = ["unshare", *("--map-root-user" unless Process.euid.zero?), "--mount", "sh", "-c", script, "sh"]
    skip "needs a mount namespace, to have a socket at /run/choria/submit.sock" unless system(*around, "true", %i[out err] => File::NULL)
    output, errors, good = run_example("all.rb", network[:server_token], around: around)
    assert good, errors
    id, identity, *replies = output.lines(chomp: true)
    assert_match(/\A\h{8}-\h{4}-4\h{3}-[89ab]\h{3}-\h{12}\z/, id)
    assert_equal network[:identities].first, identity
    assert_equal network[:identities], replies.map { |line| line[/\A\S+/] }.sort
  end

  def test_ping
    output, errors, good = run_example("ping.rb")
    assert good, errors
    lines = output.lines(chomp: true)
    assert_equal network[:identities], lines[0..1].map { |line| line[/\A(\S+): \d{4}-/, 1] }.sort
    assert_equal "2 of 2 nodes, silent: ", lines[2]
  end
end
