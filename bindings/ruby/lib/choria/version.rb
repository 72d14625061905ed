# frozen_string_literal: true

module Choria
  # Version of the gem, the same as that of the library it was tested with.
  VERSION = "0.1.0"
end
