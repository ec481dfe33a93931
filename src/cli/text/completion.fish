# Completion of pawl for fish. `pawl completion fish` prints this file; it belongs into ~/.config/fish/completions as
# pawl.fish. Or:  pawl completion fish | source

function __pawl_complete
    set -l typed (commandline -opc) (commandline -ct)
    for line in (command $typed[1] completion words -- $typed[2..-1] 2>/dev/null)
        switch $line
            case \tfiles
                __fish_complete_path $typed[-1]
            case \tdirectories
                __fish_complete_directories $typed[-1]
            case '*'
                echo $line
        end
    end
end

complete -c pawl -f -a '(__pawl_complete)'
