#!/usr/bin/env bash
# Complete command lines in bash, and in zsh and fish where they are installed (in CI they must be). The lines are
# completed by the scripts themselves, as the shells would; candidates are compared as sets.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/project"
ln -s "$(realpath "$PAWL_BIN")" "$work/bin/pawl"
export PATH="$work/bin:$PATH" HOME=$work
for name in ${!PAWL_@}; do
    [[ $name == PAWL_BIN || $name == PAWL_SOURCE_DIR ]] || unset "$name"
done

cd "$work/project"
pawl init >/dev/null 2>&1
cat >>pawl.yaml <<'YAML'
environments:
  staging: {}
  production: {}
YAML
first=$(pawl revision -m "First" --rev-id a1110001)
pawl revision -m "Second: with a colon" --rev-id a1110002 >/dev/null
pawl revision -m "Third" --rev-id b2220001 >/dev/null
sed -i 's/^description:.*/&\nlabels: [catalog]/' "$first"
touch extra.yaml

failures=0
# same SHELL LINE EXPECTED FOUND
same() {
    local expected found

    expected=$(printf '%s' "$3" | tr ' ' '\n' | sed '/^$/d' | sort)
    found=$(printf '%s' "$4" | sed '/^$/d' | sort)
    if [[ $expected != "$found" ]]; then
        printf '%s: "%s"\n  expected: %s\n  found:    %s\n' "$1" "$2" "${expected//$'\n'/ }" "${found//$'\n'/ }" >&2
        failures=$((failures + 1))
    fi
}

# ---- bash: COMP_WORDS is what readline would make of the line, split at blanks, = and :

eval "$(pawl completion bash)"

in_bash() {
    local rest=$1 part

    COMP_LINE=$1
    COMP_POINT=${#1}
    COMP_WORDS=()
    while [[ -n $rest ]]; do
        rest=${rest#"${rest%%[! ]*}"}
        case $rest in
            "") break ;;
            [=:]*) part=${rest%%[!=:]*} ;;
            *) part=${rest%%[ =:]*} ;;
        esac
        COMP_WORDS+=("$part")
        rest=${rest#"$part"}
    done
    # Behind a blank, and behind a break, an empty word is what is being typed.
    [[ $1 == *[' =:'] ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _pawl
    printf '%s\n' "${COMPREPLY[@]}"
}

bash_completes() {
    same bash "$1" "$2" "$(in_bash "$1")"
}

bash_completes "pawl rev" "revision"
bash_completes "pawl --env p" "production"
bash_completes "pawl --env=p" "production"
bash_completes "pawl upgrade --po" "--pooler"
bash_completes "pawl upgrade --pooler " "auto transaction none"
bash_completes "pawl upgrade --pooler=t" "transaction"
bash_completes "pawl --color al" "always"
bash_completes "pawl upgrade a111" "a1110001 a1110002"
bash_completes "pawl up c" "catalog"
bash_completes "pawl downgrade b" "base b2220001"
bash_completes "pawl upgrade a1110001:a" "a1110001 a1110002"
bash_completes "pawl upgrade :b" "base b2220001"
bash_completes "pawl revision -m 'one two' --head b" "base b2220001"
bash_completes "pawl new --step set" "set_not_null"
bash_completes "pawl help sett" "settings"
bash_completes "pawl completion " "bash fish zsh"
# A value that only its writer knows, and what stands where nothing may.
bash_completes "pawl upgrade --lock-timeout " ""
bash_completes "pawl current a" ""
bash_completes "pawl upgrade a1110001 a" ""
# Flags that have no effect on the verb are not offered.
bash_completes "pawl history --lock" ""
bash_completes "pawl upgrade --lock" "--lock-attempts --lock-timeout"
# Behind -- nothing is a flag.
bash_completes "pawl upgrade -- --po" ""
# Another directory of revisions.
mkdir "$work/other"
cp "$first" "$work/other/"
bash_completes "pawl --dir $work/other upgrade a1" "a1110001"
bash_completes "pawl upgrade --dir=$work/other a1" "a1110001"
# Every verb and alias of the overview is completed.
while read -r verb; do
    bash_completes "pawl $verb" "$(pawl completion words -- "$verb" | cut -f1)"
    [[ $(in_bash "pawl $verb") == *"$verb"* ]] || { echo "verb $verb is not offered" >&2; failures=$((failures + 1)); }
done < <(pawl --help | sed -n '/^Verbs/,/^$/s/^  \([a-z]*\).*/\1/p')

# ---- the others

# present SHELL: it is installed, or this is no CI.
present() {
    command -v "$1" >/dev/null && return
    [[ -z ${CI:-} ]] || { echo "$1 is not installed; scripts/setup.sh installs it" >&2; exit 1; }
    return 1
}

if present zsh; then
    in_zsh() {
        zsh -f "$here/completion.zsh" "$@"
    }
    same zsh "rev" "revision" "$(in_zsh rev | cut -d: -f1)"
    same zsh "upgrade a111" "a1110001 a1110002" "$(in_zsh upgrade a111 | cut -d: -f1)"
    same zsh "--env p" "production" "$(in_zsh --env p | cut -d: -f1)"
    # A colon in a candidate is no end of it.
    same zsh "upgrade a1110001:b2" 'a1110001\:b2220001' "$(in_zsh upgrade a1110001:b2 | sed 's/:Third$//')"
    [[ $(in_zsh --config "") == files* ]] || { echo "zsh: no files for --config" >&2; failures=$((failures + 1)); }
    [[ $(in_zsh --dir "") == "files -/" ]] || { echo "zsh: no directories" >&2; failures=$((failures + 1)); }
fi

if present fish; then
    in_fish() {
        fish --no-config -c "pawl completion fish | source; complete -C '$1'" | cut -f1
    }
    same fish "pawl rev" "revision" "$(in_fish "pawl rev")"
    same fish "pawl upgrade a111" "a1110001 a1110002" "$(in_fish "pawl upgrade a111")"
    same fish "pawl --env=p" "--env=production" "$(in_fish "pawl --env=p")"
    same fish "pawl --config ex" "extra.yaml" "$(in_fish "pawl --config ex")"
fi

if [[ $failures -gt 0 ]]; then
    echo "test_completion.sh: $failures failed" >&2
    exit 1
fi
