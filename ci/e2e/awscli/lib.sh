# shellcheck shell=bash
# What the scripts beside this file share. They need AWS_ENDPOINT_URL and the
# credentials that `wpbake local env` prints, and a group SHOP whose nodes run.

set -euo pipefail

export AWS_PAGER=''

# An AWS CLI before 2.13 does not read AWS_ENDPOINT_URL.
aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" --output text "$@"; }

# knows COMMAND... WORD: whether the CLI's own model of the call has the word.
knows() {
	local skeleton
	skeleton=$(aws "${@:1:$#-1}" --generate-cli-skeleton 2>/dev/null) || return
	case $skeleton in *"${*: -1}"*) ;; *) return 1 ;; esac
}

# signed SERVICE CURL-ARGS...: one call signed by curl, for what this CLI is
# too old to say.
signed() {
	local service=$1
	shift
	curl --silent --show-error --aws-sigv4 "aws:amz:$AWS_REGION:$service" \
		--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" "$@"
}

say() { printf '%s\n' "$*"; }

fail() {
	printf 'FAIL: %s\n' "$*" >&2
	exit 1
}

# want EXPECTED ACTUAL WHAT
want() { [ "$1" = "$2" ] || fail "$3: want \"$1\", got \"$2\""; }

# refused CODE COMMAND...: the command must fail with AWS's error code.
refused() {
	local code=$1 out
	shift
	if out=$("$@" 2>&1); then
		fail "$* was not refused: $out"
	fi
	case $out in
	*"($code)"*) ;;
	*) fail "$*: want $code, got: $out" ;;
	esac
}

# until_is EXPECTED SECONDS COMMAND...: waits for the command's answer.
until_is() {
	local expected=$1 end=$((SECONDS + $2)) got
	shift 2
	while got=$("$@") && [ "$got" != "$expected" ]; do
		[ $SECONDS -lt $end ] || fail "$*: want \"$expected\", still \"$got\""
		sleep 0.2
	done
}
