// Loaded before the program (`node --import`): moves the machine's clock by JUDGE_SHIFT_MS, as far as JavaScript sees it.
const shift = Number(process.env.JUDGE_SHIFT_MS ?? 0);
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(RealDate.now() + shift);
    else super(...args);
  }
  static now() {
    return RealDate.now() + shift;
  }
};
