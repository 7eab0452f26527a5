# shellcheck shell=bash
# Sourced by the scripts of the tiers, from the repository's root: it runs their
# stages, and prints at the end how long each took and which tests were slow.
#
#   stage NAME COMMAND...   one stage; the first that fails ends the tier
#   tests NAME ARGUMENTS... one stage of go test with these arguments, in the
#                           module at $module, the main one if that is not set
#
# Seconds are those of the clock; busy are those that processors spent, on all
# cores together, in what had ended with the stage.

reports=$(mktemp -d)
stages=()
tier_begun=$EPOCHREALTIME
trap 'summary $?' EXIT

# since prints how many seconds ago a time of EPOCHREALTIME was.
since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# busy prints what processors have spent for this shell's children so far.
# times must not run in a subshell, which has no children yet.
busy() {
	times >"$reports/times"
	awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); n += t[1] * 60 + t[2] } printf "%.1f\n", n }' \
		"$reports/times" >"$reports/busy"
	read -r spent <"$reports/busy"
}

stage() {
	local name=$1 begun=$EPOCHREALTIME status=0 before
	shift
	printf '\n== %s\n' "$name"
	busy
	before=$spent
	"$@" || status=$?
	busy
	stages+=("$(printf '%-34s %8s %8s%s' "$name" "$(since "$begun")" \
		"$(awk -v a="$before" -v b="$spent" 'BEGIN { printf "%.1f", b - a }')" \
		"$([ $status = 0 ] || echo '  FAILED')")")
	[ $status = 0 ] || exit $status
}

tests() {
	local name=$1
	shift
	stage "$name" env -C "${module:-.}" "$PWD/bin/gotestsum" --format pkgname --format-icons text --hide-summary skipped \
		--jsonfile "$reports/${#stages[@]}.json" -- -count=1 "$@"
}

summary() {
	local status=$1
	printf '\n%-34s %8s %8s\n' stage seconds busy
	printf '%s\n' "${stages[@]}"
	busy
	printf '%-34s %8s %8s\n' "the whole of ${0##*/}" "$(since "$tier_begun")" "$spent"
	if compgen -G "$reports/*.json" >/dev/null; then
		printf '\nthe ten slowest tests, with their seconds\n'
		cat "$reports"/*.json | bin/gotestsum tool slowest --num 10 | awk '{
			split($NF, t, /[hms]/) # 1h2m3.4s, 5.6s, 780ms
			n = $NF ~ /ms$/ ? t[1] / 1000 : $NF ~ /h/ ? t[1] * 3600 + t[2] * 60 + t[3] : $NF ~ /m/ ? t[1] * 60 + t[2] : t[1]
			sub(/^github.com\/wpbake\/wpbake\//, "", $1)
			printf "%8.1f  %s %s\n", n, $1, $2
		}'
	fi
	rm -rf "$reports"
	exit "$status"
}
