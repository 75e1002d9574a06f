;; bulk.ts holds this assembled.
(module
  (import "ram" "ram" (memory 1))
  (func (export "copy") (param $to i32) (param $from i32) (param $bytes i32)
    (memory.copy (local.get $to) (local.get $from) (local.get $bytes)))
  ;; The address of the first quadword from $at on that is not 0, or $end. Both are aligned.
  (func (export "skipZeros") (param $at i32) (param $end i32) (result i32)
    (block $odd
      (loop $four
        (br_if $odd (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 32)))
        (br_if $odd (i32.eqz (i64.eqz (i64.or
          (i64.or (i64.load (local.get $at)) (i64.load offset=8 (local.get $at)))
          (i64.or (i64.load offset=16 (local.get $at)) (i64.load offset=24 (local.get $at)))))))
        (local.set $at (i32.add (local.get $at) (i32.const 32)))
        (br $four)))
    (block $found
      (loop $one
        (br_if $found (i32.ge_u (local.get $at) (local.get $end)))
        (br_if $found (i32.eqz (i64.eqz (i64.load (local.get $at)))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br $one)))
    (local.get $at)))
