# shellcheck shell=bash
# Completion of pawl for bash 4.4 and newer. `pawl completion bash` prints this file; where the package has not installed
# it:  source <(pawl completion bash)

# The words of the line up to the cursor, with those put together again that readline takes apart at = and :
_pawl_words() {
    local line=${COMP_LINE:0:COMP_POINT} i token

    _pawl_typed=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        token=${COMP_WORDS[i]}
        if ((i == COMP_CWORD)); then
            # What stands behind the cursor does not count.
            token=${line#"${line%%[![:space:]]*}"}
        fi
        if ((i > 0)) && [[ $line != [[:space:]]* && -n $token ]]; then
            _pawl_typed[-1]+=$token
        else
            _pawl_typed+=("$token")
        fi
        line=${line#"${line%%[![:space:]]*}"}
        line=${line#"$token"}
    done
}

_pawl() {
    local _pawl_typed candidate current cut

    _pawl_words
    current=${_pawl_typed[-1]}
    # Readline puts in place only what stands behind its last break.
    cut=${current%"${current##*[=:]}"}
    COMPREPLY=()
    while IFS= read -r candidate; do
        case $candidate in
            $'\tfiles') compopt -o default 2>/dev/null ;;
            $'\tdirectories') compopt -o dirnames 2>/dev/null ;;
            *)
                candidate=${candidate%%$'\t'*}
                COMPREPLY+=("${candidate#"$cut"}")
                ;;
        esac
    done < <(command "${_pawl_typed[0]}" completion words -- "${_pawl_typed[@]:1}" 2>/dev/null)
}

complete -F _pawl pawl
