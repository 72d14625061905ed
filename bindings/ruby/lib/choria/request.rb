# frozen_string_literal: true

require_relative "handle"

module Choria
  # What Client#request, Client#ping and Client#discover ask, made from their keyword arguments.
  class Request # :nodoc: all
    def initialize(agent, action, inputs: {}, text_inputs: {}, collective: nil, facts: [], classes: [], identities: [],
                   agents: [], compound: nil, nodes: [], timeout: nil, discovery_timeout: nil)
      @handle = Handle.make(:request, :choria_request_new, Library.text(agent), Library.text(action))
      set_inputs(inputs, text_inputs)
      { add_fact: facts, add_class: classes, add_identity: identities, add_agent: agents, add_node: nodes,
        set_collective: collective, set_compound: compound }
        .each { |function, values| each_text(values) { |text| call(function, text) } }
      call(:set_timeout, Library.milliseconds(timeout))
      call(:set_discovery_timeout, Library.milliseconds(discovery_timeout))
    end

    # A request is never closed, so the pointer is good for as long as somebody holds it.
    def pointer
      @handle.pointer
    end

    private

    def set_inputs(inputs, text_inputs)
      inputs.each { |name, value| call(:set_input, Library.text(name), JSON.generate(value)) }
      text_inputs.each { |name, value| call(:set_input_text, Library.text(name), Library.text(value)) }
    end

    def each_text(values)
      Array(values).each { |value| yield Library.text(value) }
    end

    def call(function, *arguments)
      @handle.call(:"choria_request_#{function}", *arguments)
    end
  end
end
