# What zsh is told: completion.zsh WORD... prints the candidates for the last word. The two functions of the completion
# system that the script calls are replaced, so that no terminal is needed.
compdef() {
    :
}
_files() {
    print -r -- "files $*"
}
_describe() {
    local entry
    for entry in "${(@P)2}"; do
        print -r -- "$entry"
    done
}
source "$PAWL_SOURCE_DIR/src/cli/text/completion.zsh"
words=(pawl "$@")
CURRENT=${#words}
PREFIX=${words[-1]}
_pawl
