# frozen_string_literal: true

require_relative "lib/choria/version"

Gem::Specification.new do |spec|
  spec.name = "choria"
  spec.version = Choria::VERSION
  spec.summary = "Submit messages, verify tokens and make requests with Choria"
  spec.description = "Hands messages to this machine's Choria server, verifies tokens, and makes requests to the fleet " \
                     "with replies as they arrive. Stands on the C library libchoria.so.1."
  spec.authors = ["The Choria project for Linux distributions"]
  spec.homepage = "https://github.com/choria-io/choria-linux"
  spec.license = "Apache-2.0"
  spec.required_ruby_version = ">= 3.0"
  spec.files = Dir.chdir(__dir__) { Dir["lib/**/*.rb", "sig/**/*.{rbs,yaml}", "examples/*.rb", "README.md"].sort }
  spec.require_paths = ["lib"]
  spec.metadata = { "rubygems_mfa_required" => "true" }
  # The system's libchoria.so.1 is the other requirement; gems cannot name it.
  spec.add_dependency "ffi", "~> 1.15"
end
