import { demand, refuse } from '../kernel/errno.ts';

/** A UUID as user space writes it. */
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const TOKEN_ARGUMENT = 'vf_token=';

/**
 * What the users of a physical function and of its virtual functions prove to each other, because either can harm the other (Linux,
 * vfio_pci_core.c: vfio_pci_validate_vf_token). Nobody has the token of a function that was never set.
 */
export class VfTokens {
  #token: Uint8Array | undefined;
  /** Open virtual functions. */
  users = 0;

  set(token: Uint8Array): void {
    this.#token = token;
  }

  #matches(token: Uint8Array): boolean {
    const own = this.#token;
    return own?.every((byte, i) => byte === token[i]) === true;
  }

  /** Of the user of a virtual function. Throws EACCES. */
  demandOfVirtual(token: Uint8Array | undefined): void {
    demand(token !== undefined, 'EACCES', 'the token of the physical function is needed');
    demand(this.#matches(token), 'EACCES', 'this is not the token of the physical function');
  }

  /** Of the user of the physical function, who gives the token where no virtual function is in use. Throws EACCES. */
  demandOfPhysical(token: Uint8Array | undefined): void {
    if (this.users === 0) {
      if (token !== undefined) this.#token = token;
      return;
    }
    this.demandOfVirtual(token);
  }
}

/** `0000:04:10.0 vf_token=UUID`: name and token. Throws EINVAL. */
export function parseDeviceName(text: string): {
  readonly name: string;
  readonly token: Uint8Array | undefined;
} {
  const [name = '', ...rest] = text.split(' ');
  const given = rest.filter((word) => word !== '');
  if (given.length === 0) return { name, token: undefined };
  const word = given[0] as string;
  if (given.length > 1 || !word.startsWith(TOKEN_ARGUMENT))
    refuse('EINVAL', `${word} is no option of a device`);
  const uuid = word.slice(TOKEN_ARGUMENT.length);
  demand(UUID.test(uuid), 'EINVAL', `${uuid} is no UUID`);
  const digits = uuid.replaceAll('-', '');
  return {
    name,
    token: Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16)),
  };
}
