# The shell of a Berth session: a prompt with colour, completion, and the aliases that hands expect.
case $- in
  *i*) ;;
  *) return ;;
esac

HISTSIZE=5000
HISTFILESIZE=5000
HISTCONTROL=ignoreboth
shopt -s histappend checkwinsize

# The status of the last command shows only when it is not 0.
__berth_prompt() {
  local status=$?
  local note=
  ((status == 0)) || note="\[\e[31m\]$status\[\e[0m\] "
  PS1="$note\[\e[1;32m\]\u@\h\[\e[0m\]:\[\e[1;34m\]\w\[\e[0m\]\\$ "
}
PROMPT_COMMAND=__berth_prompt

alias ls='ls --color=auto'
alias ll='ls -l'
alias la='ls -la'
alias grep='grep --color=auto'
export EDITOR=vi LESS=-R

if [ -f /usr/share/bash-completion/bash_completion ]; then
  . /usr/share/bash-completion/bash_completion
fi
