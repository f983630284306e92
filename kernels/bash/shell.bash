# The start file of the shell behind a bash context; soulbox_host/bash.py says how it is used.
# Values are only ever expanded in quotes: none of them is read as code. Every name is ours, since
# a local variable would hide one of the cell's.
PS1= PS2= PS4='+ '
# Nobody reads the terminal that the shell was started on, so what it says by itself goes nowhere.
exec 2>/dev/null
unset TMOUT MAILCHECK PROMPT_COMMAND HISTFILE
set +o history +o histexpand

# Reads a request: how many names go and texts come for good, those, the code, its own variables.
__soulbox_enter() {
  builtin mapfile -d '' -t -u 201 __soulbox_request
  builtin local __soulbox_i __soulbox_name __soulbox_attributes
  builtin local __soulbox_gone=$((__soulbox_request[0] + 2)) __soulbox_kept=$((__soulbox_request[0] + __soulbox_request[1] + 2))
  for ((__soulbox_i = 2; __soulbox_i < __soulbox_gone; __soulbox_i++)); do
    builtin unset -v "${__soulbox_request[__soulbox_i]}"
  done
  for ((; __soulbox_i < __soulbox_kept; __soulbox_i += 2)); do
    builtin export "${__soulbox_request[__soulbox_i]}=${__soulbox_request[__soulbox_i + 1]}"
  done
  __soulbox_code=${__soulbox_request[__soulbox_i]}
  __soulbox_former=()
  for ((__soulbox_i++; __soulbox_i < ${#__soulbox_request[@]}; __soulbox_i += 2)); do
    __soulbox_name=${__soulbox_request[__soulbox_i]}
    # Name, whether it was set, whether it was exported, and its value.
    if [[ -v $__soulbox_name ]]; then
      __soulbox_attributes=${!__soulbox_name@a}
      __soulbox_former+=("$__soulbox_name" set "${__soulbox_attributes//[^x]/}" "${!__soulbox_name}")
    else
      __soulbox_former+=("$__soulbox_name" unset '' '')
    fi
    builtin export "$__soulbox_name=${__soulbox_request[__soulbox_i + 1]}"
  done
  __soulbox_request=()
}

# Puts the former values back and tells how cell $1 ended: with status $2.
__soulbox_leave() {
  builtin local __soulbox_i
  for ((__soulbox_i = 0; __soulbox_i < ${#__soulbox_former[@]}; __soulbox_i += 4)); do
    builtin unset -v "${__soulbox_former[__soulbox_i]}"
    if [[ ${__soulbox_former[__soulbox_i + 1]} == set ]]; then
      builtin declare -g "${__soulbox_former[__soulbox_i]}=${__soulbox_former[__soulbox_i + 3]}"
      [[ -z ${__soulbox_former[__soulbox_i + 2]} ]] || builtin export "${__soulbox_former[__soulbox_i]}"
    fi
  done
  __soulbox_former=() __soulbox_code=
  builtin printf '%d %d\n' "$1" "$2" >&202
}
