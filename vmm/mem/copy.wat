;; copy.ts holds this assembled.
(module
  (import "ram" "ram" (memory 1))
  (func (export "copy") (param $to i32) (param $from i32) (param $bytes i32)
    (memory.copy (local.get $to) (local.get $from) (local.get $bytes))))
