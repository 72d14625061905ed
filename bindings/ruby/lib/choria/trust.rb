# frozen_string_literal: true

require_relative "handle"

module Choria
  # Whose tokens are believed. It cannot be changed once it is made, and may be used by many threads at once.
  class Trust
    # - +issuers+: Hash of organization to the public key of its issuer, 64 hexadecimal characters. Their chains of
    #   delegation are followed.
    # - +signers+: keys, or files with a key in hexadecimal or PEM, that sign tokens of any organization directly.
    def initialize(issuers: {}, signers: [])
      @handle = Handle.make(:trust, :choria_trust_new)
      add(issuers, signers)
    end

    # The issuers that a configuration file names (<tt>plugin.security.issuer.*</tt>); without a path the file that the
    # +choria+ command finds. Issuers and signers given here are believed as well.
    def self.from_config(config = nil, issuers: {}, signers: [])
      allocate.tap { |trust| trust.send(:load, config, issuers, signers) }
    end

    def use(&block) # :nodoc:
      @handle.use(&block)
    end

    private

    def load(config, issuers, signers)
      @handle = Handle.make(:trust, :choria_trust_from_config, Library.text(config))
      add(issuers, signers)
    end

    def add(issuers, signers)
      issuers.each { |organization, key| @handle.call(:choria_trust_add_issuer, Library.text(organization), Library.text(key)) }
      Array(signers).each { |signer| @handle.call(:choria_trust_add_signer, Library.text(signer)) }
    end
  end
end
