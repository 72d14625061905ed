# Completion of choria(1) for fish. For this shell: choria completion fish | source; for all:
# choria completion fish > /usr/share/fish/vendor_completions.d/choria.fish
function __choria_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines (choria __complete fish $words[2..] "$current" 2>/dev/null)
    set -q lines[2]; and printf '%s\n' $lines[2..]
    switch " $lines[1] "
        case '* files *'
            __fish_complete_path (string replace -r -- '^--[^=]*=' '' "$current")
        case '* directories *'
            __fish_complete_directories (string replace -r -- '^--[^=]*=' '' "$current")
    end
end
complete -c choria -f -a '(__choria_complete)'
