# frozen_string_literal: true

require_relative "helper"
require "pathname"
require "rbs"

# The signatures in sig/ against the code: the same classes, methods and keywords, in both directions.
class SignaturesTest < Minitest::Test
  SIG = File.expand_path("../sig/choria.rbs", __dir__)
  # Public for Ruby, internal for everybody: their comments say :nodoc:.
  INTERNAL = {
    "Choria::Client" => %i[use], "Choria::Trust" => %i[use], "Choria::Draft" => %i[pointer release],
    "Choria::Received" => %i[use self.from_consumer], "Choria::Reply" => %i[self.take], "Choria::Error" => %i[self.for],
    "Choria::Replies" => %i[initialize], "Choria::Statistics" => %i[self.from]
  }.freeze
  INTERNAL_CLASSES = %w[Choria::Library Choria::Handle Choria::Request].freeze

  def self.definitions
    loader = RBS::EnvironmentLoader.new
    loader.add(library: "pathname", version: nil)
    loader.add(path: Pathname(SIG))
    RBS::DefinitionBuilder.new(env: RBS::Environment.from_loader(loader).resolve_type_names)
  end

  BUILDER = definitions

  # Modules and classes that the code defines, by name.
  CODE = [Choria, *Choria.constants.map { |name| Choria.const_get(name) }.grep(Module)]
         .reject { |owner| INTERNAL_CLASSES.include?(owner.name) }.uniq.freeze

  def test_the_same_classes
    signed = BUILDER.env.class_decls.keys.map { |name| name.to_s.delete_prefix("::") }.grep(/\AChoria/)
    assert_equal CODE.map(&:name).sort, signed.sort
  end

  CODE.each do |owner|
    define_method(:"test_methods_of_#{owner.name.tr(':', '_')}") do
      assert_equal signed(owner).keys.sort, written(owner).keys.sort
      signed(owner).each do |name, keywords|
        assert_equal keywords, written(owner)[name], "#{owner}##{name}: keywords" unless written(owner)[name].nil?
      end
    end
  end

  # Public methods of the code and their keywords; nil where the code hands all keywords on.
  def written(owner)
    instance = owner.public_instance_methods(false).to_h { |name| [name, keywords(owner.instance_method(name))] }
    singleton = owner.singleton_class.public_instance_methods(false).to_h { |name| [:"self.#{name}", keywords(owner.method(name))] }
    made = { initialize: keywords(owner.instance_method(:initialize)) } if owner.is_a?(Class) && owner.private_method_defined?(:initialize, false) && owner.respond_to?(:new)
    inherited = owner < Struct ? %i[self.new self.[] self.members self.inspect self.keyword_init?] : []
    instance.merge(singleton, made || {}).except(*INTERNAL.fetch(owner.name, []), *inherited)
  end

  def keywords(method)
    return if method.parameters.any? { |kind, _| kind == :keyrest }

    method.parameters.filter_map { |kind, name| name if %i[key keyreq].include?(kind) }.sort
  end

  # The same from the signatures.
  def signed(owner)
    name = RBS::TypeName.new(name: owner.name.split("::").last.to_sym,
                             namespace: RBS::Namespace.parse("::#{owner.name.split('::')[0..-2].join('::')}"))
    own = ->(definition) { definition.methods.select { |_, method| method.implemented_in == name && method.public? } }
    instance = own.call(BUILDER.build_instance(name)).transform_values { |method| keywords_of(method) }
    singleton = own.call(BUILDER.build_singleton(name)).except(:new).to_h { |key, method| [:"self.#{key}", keywords_of(method)] }
    made = BUILDER.build_instance(name).methods[:initialize]
    instance[:initialize] = keywords_of(made) if owner.is_a?(Class) && made&.implemented_in == name
    instance.merge(singleton)
  end

  def keywords_of(method)
    method.method_types.flat_map { |type| type.type.optional_keywords.keys + type.type.required_keywords.keys }.uniq.sort
  end
end
