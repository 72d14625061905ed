# frozen_string_literal: true

# What include/choria.h declares, in the words of the ffi gem.
class Header
  PATH = ENV.fetch("CHORIA_HEADER", File.expand_path("../../../include/choria.h", __dir__))
  SCALARS = %w[void bool int int32_t uint32_t int64_t uint64_t size_t double].to_h { |c| [c, c.delete_suffix("_t").to_sym] }
                                                                             .merge("size_t" => :size_t).freeze
  # Enumerations are four bytes wide.
  ENUMS = %w[choria_result choria_token_kind choria_event_kind].freeze

  def initialize(text)
    @text = text.gsub(%r{/\*.*?\*/}m, " ").gsub(%r{//.*$}, " ").gsub(/^\s*#.*$/, " ")
  end

  def self.read
    new(File.read(PATH))
  end

  # Name to [arguments, result].
  def functions
    @text.scan(/([A-Za-z_][\w \t\n*]*?[\s*])(choria_\w+)\s*\(([^()]*)\)\s*;/).to_h do |result, name, arguments|
      list = arguments.strip == "void" ? [] : arguments.split(",").map { |argument| type(argument.sub(/\w+\s*\z/, "")) }
      [name.to_sym, [list, type(result.sub(/\A.*extern\s+"C"\s*\{/m, ""))]]
    end
  end

  # Values of an enumeration, without the prefix of their names.
  def enum(name, prefix)
    body = @text[/enum\s+#{name}\b[^{};]*\{(.*?)\}/m, 1] || @text[/enum\s*\{([^{}]*)\}\s*#{name}\s*;/m, 1]
    raise "#{PATH} has no enum #{name}" unless body

    body.scan(/#{prefix}(\w+)\s*=\s*(\d+)/).to_h { |value, number| [value.to_sym, number.to_i] }
  end

  private

  def type(text)
    text = text.gsub(/\b(struct|enum|extern)\b/, " ").split.join(" ").gsub(/\s*\*\s*/, "*").strip
    return :string if text == "const char*"
    return :pointer if text.end_with?("*", "*const")
    return :int32 if ENUMS.include?(text)

    SCALARS.fetch(text) { text.to_sym }
  end
end
