# Completion of choria(1) for bash. For this shell: source <(choria completion bash); for all:
# choria completion bash > /usr/share/bash-completion/completions/choria
_choria() {
    local program=$1 lines
    type -P -- "$program" >/dev/null || program=choria
    mapfile -t lines < <("$program" __complete bash "$COMP_LINE" "$COMP_POINT" "$COMP_WORDBREAKS" 2>/dev/null)
    COMPREPLY=("${lines[@]:1}")
    case " ${lines[0]-} " in *" open "*) compopt -o nospace ;; esac
    case " ${lines[0]-} " in
    *" files "*) compopt -o filenames -o default ;;
    *" directories "*) compopt -o filenames -o dirnames ;;
    esac
}
complete -F _choria choria
