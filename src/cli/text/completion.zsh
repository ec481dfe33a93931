#compdef pawl
# Completion of pawl for zsh. `pawl completion zsh` prints this file; it belongs into a directory of $fpath as _pawl.
# Or, behind compinit in .zshrc:  source <(pawl completion zsh)

_pawl() {
    local -a typed found
    local line word help

    typed=("${(@Q)words[2,CURRENT - 1]}" "${(Q)PREFIX}")
    while IFS= read -r line; do
        word=${line%%$'\t'*}
        help=${line#*$'\t'}
        if [[ -z $word && $help == files ]]; then
            _files
        elif [[ -z $word && $help == directories ]]; then
            _files -/
        elif [[ -n $help ]]; then
            found+=("${word//:/\\:}:$help")
        else
            found+=("${word//:/\\:}")
        fi
    done < <(command ${words[1]} completion words -- "${typed[@]}" 2>/dev/null)
    (( ${#found} )) && _describe 'pawl' found
}

if [[ ${funcstack[1]} == _pawl ]]; then
    _pawl "$@"
else
    compdef _pawl pawl
fi
