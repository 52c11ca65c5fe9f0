/** kind of a type. Source: linux/btf.h. */
export const BTF_KIND_INT = 1;
export const BTF_KIND_PTR = 2;
export const BTF_KIND_ARRAY = 3;
export const BTF_KIND_STRUCT = 4;
export const BTF_KIND_UNION = 5;
export const BTF_KIND_ENUM = 6;
export const BTF_KIND_FWD = 7;
export const BTF_KIND_TYPEDEF = 8;
export const BTF_KIND_VOLATILE = 9;
export const BTF_KIND_CONST = 10;
export const BTF_KIND_RESTRICT = 11;
export const BTF_KIND_FUNC = 12;
export const BTF_KIND_FUNC_PROTO = 13;
export const BTF_KIND_VAR = 14;
export const BTF_KIND_DATASEC = 15;
export const BTF_KIND_FLOAT = 16;
export const BTF_KIND_DECL_TAG = 17;
export const BTF_KIND_TYPE_TAG = 18;
export const BTF_KIND_ENUM64 = 19;

/** One type as it is stored. */
export interface BtfEntry {
  readonly kind: number;
  readonly nameOffset: number;
  /** Number of members, enumerators, parameters or variables. */
  readonly count: number;
  /** Of a struct: members say bit-field sizes. Of an enum: signed. Of a forward: a union. */
  readonly flag: boolean;
  /** Bytes, or a type's number, as the kind has it. */
  readonly sizeOrType: number;
  /** Where what follows the common part begins, in its view. */
  readonly at: number;
}
