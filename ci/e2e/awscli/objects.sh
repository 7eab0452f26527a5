#!/usr/bin/env bash
# Objects: put once and never again, got back as they are, listed, deleted.
. "$(dirname "$0")/lib.sh"

bucket=cli-$RANDOM
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
head -c 300000 /dev/urandom >"$dir/one"
head -c 300000 /dev/urandom >"$dir/two"

aws s3api create-bucket --bucket "$bucket" --create-bucket-configuration "LocationConstraint=$AWS_REGION" >/dev/null

if knows s3api put-object IfNoneMatch; then
	put() { aws s3api put-object --bucket "$bucket" --key a/one --body "$1" --if-none-match '*'; }
	put "$dir/one" >/dev/null
	refused PreconditionFailed put "$dir/two"
else
	say "this AWS CLI knows no --if-none-match: curl makes the call"
	put() {
		signed s3 --output /dev/null --write-out '%{http_code}' --upload-file "$1" \
			--header 'If-None-Match: *' --header 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "$AWS_ENDPOINT_URL/$bucket/a/one"
	}
	want 200 "$(put "$dir/one")" "status of the first put"
	want 412 "$(put "$dir/two")" "status of the second put"
fi

aws s3api get-object --bucket "$bucket" --key a/one "$dir/back" >/dev/null
cmp "$dir/one" "$dir/back" || fail "the object is not what was put"
aws s3api get-object --bucket "$bucket" --key a/one --range bytes=100-199 "$dir/range" >/dev/null
cmp "$dir/range" <(tail -c +101 "$dir/one" | head -c 100) || fail "the range is not what was put"

# Above 8 MiB the CLI uploads in parts.
head -c 20000000 /dev/urandom >"$dir/large"
aws s3 cp --quiet "$dir/large" "s3://$bucket/a/large"
aws s3 cp --quiet "s3://$bucket/a/large" "$dir/back"
cmp "$dir/large" "$dir/back" || fail "the large object is not what was put"

want $'a/large\ta/one' "$(aws s3api list-objects-v2 --bucket "$bucket" --prefix a/ --query 'sort(Contents[].Key)')" "keys"
refused 404 aws s3api head-object --bucket "$bucket" --key a/none
aws s3 rm --quiet --recursive "s3://$bucket/"
aws s3api delete-bucket --bucket "$bucket"
say "objects: put once, refused the second time, got whole and in part, listed, deleted"
