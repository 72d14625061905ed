#compdef choria
# Completion of choria(1) for zsh. For this shell: source <(choria completion zsh); for all:
# choria completion zsh > /usr/share/zsh/site-functions/_choria
_choria() {
    local -a lines closed open
    local line value
    lines=("${(@f)$(choria __complete zsh "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    for line in "${(@)lines[2,-1]}"; do
        value=${${line%%$'\t'*}//:/\\:}
        if [[ $line == *$'\t'* ]]; then value+=":${line#*$'\t'}"; fi
        if [[ $line == *=$'\t'* || $line == *= ]]; then open+=("$value"); else closed+=("$value"); fi
    done
    local found=1
    (( $#open )) && _describe -V choria open -S '' && found=0
    (( $#closed )) && _describe choria closed && found=0
    case " ${lines[1]} " in
    *" files "*) compset -P '--*='; _files && found=0 ;;
    *" directories "*) compset -P '--*='; _files -/ && found=0 ;;
    esac
    return found
}
if [[ $funcstack[1] == _choria ]]; then _choria "$@"; else compdef _choria choria; fi
